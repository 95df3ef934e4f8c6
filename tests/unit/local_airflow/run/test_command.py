from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import duckdb
import psutil
import pytest

from include.dbt_cloud.api.advice import BY_STATUS
from include.local_airflow.airflow.find_dag import find_dag
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.metadata_database import MetadataDatabase
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.local_airflow.conftest import ROOT, Checkout, make_checkout

pytestmark = pytest.mark.slow

POLICY = ROOT / "plugins" / "airflow_local_settings.py"

COUNTS = """
import logging
from airflow.sdk.exceptions import AirflowSkipException

@task
def extract() -> dict[str, int]:
    return {"customers": 1500, "orders": 15740}

@task.short_circuit
def is_open(rows) -> bool:
    logging.getLogger(__name__).info("The shop is closed.")
    return False

@task
def skips_itself() -> None:
    raise AirflowSkipException("There is nothing to do.")

@task
def never() -> None:
    raise AssertionError

is_open(extract()) >> never()
skips_itself()
"""

BREAKS = """
@task(retries=1, retry_delay=timedelta(seconds=1))
def breaks() -> None:
    print("about to break")
    raise ValueError("no such table: raw.orders")

@task
def after() -> None:
    print("not reached")

breaks() >> after()
"""

READS_VARIABLES = """
from airflow.sdk import Variable
parsed = Variable.get("greeting", "nothing") + Variable.get("Farewell", "nothing")

@task
def repeat() -> dict[str, str]:
    Variable.set("greeting", "Good evening")
    return {"parsed": parsed, "read": Variable.get("greeting")}

repeat()
"""

VARIABLES = """
  variables:
    - variable_name: greeting
      variable_value: Good morning
    - variable_name: Farewell
      variable_value: Goodbye
"""

TRANSFORMS = """
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
DbtCloudRunJobOperator(task_id="transform", job_id=65767, deferrable=True)
"""

IS_REFUSED = """
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
DbtCloudRunJobOperator(task_id="transform", job_id=1, deferrable=True, retries=2)
"""

# A template: the account is rendered when the task runs.
BUILDS_WITH_DOCS = """
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
DbtCloudRunJobOperator(
    task_id="transform",
    job_id=65767,
    account_id="{{ 16000 + 173 }}",
    additional_run_config={"generate_docs_override": True},
    check_interval=1,
)
"""


ASKS = """
from airflow.providers.standard.operators.hitl import ApprovalOperator
approve = ApprovalOperator(task_id="approve", subject="Build it?", defaults="Reject")

@task
def build() -> None:
    raise AssertionError

approve >> build()
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory, migrated: MetadataDatabase) -> str:
    """Return the output of one successful Dag."""
    checkout = make_checkout(tmp_path_factory.mktemp("good") / "checkout", migrated)
    (checkout.folder / "airflow_settings.yaml").write_text("airflow:" + VARIABLES)
    checkout.variables["AIRFLOW_VAR_FAREWELL"] = "See you"  # overrides the file
    checkout.add_dag("goes_well", COUNTS + READS_VARIABLES + ASKS)
    result = checkout.launch("run", "goes_well")
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_run_prints_a_summary(printed: str) -> None:
    words = printed.split()
    assert words[words.index("customers") + 1] == "1,500"
    assert "never: running" not in printed
    assert "Tasks after is_open were skipped: The shop is closed." in printed
    assert "skips_itself was skipped: There is nothing to do." in printed
    assert "Dag run goes_well succeeded in" in printed


def test_variables_are_available_while_a_file_is_parsed(printed: str) -> None:
    assert "repeat: parsed Good morningSee you, read Good evening" in printed


def test_question_without_a_terminal_gets_its_default_answer(printed: str) -> None:
    assert "approve asks: Build it? Without a terminal, the default applies: Reject." in printed
    assert "make start" in printed
    assert "Tasks after approve were skipped" in printed


@pytest.fixture(scope="module")
def failed_output(
    tmp_path_factory: pytest.TempPathFactory,
    migrated: MetadataDatabase,
    local_dbt_cloud: LocalDbtCloud,
) -> str:
    """Return the output of one Dag with two failures."""
    checkout = make_checkout(tmp_path_factory.mktemp("bad") / "checkout", migrated)
    shutil.copy(POLICY, checkout.folder / "plugins")
    checkout.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = local_dbt_cloud.connection
    checkout.add_dag("breaks_down", BREAKS + IS_REFUSED)
    result = checkout.launch("run", "breaks_down")
    assert result.returncode == 1
    log = checkout.folder / ".airflow" / "logs" / "run-breaks_down.log"
    assert "ProvidersManager" not in log.read_text(), "a warning caused by the provider"
    return result.stdout


def test_run_prints_the_log_of_a_failed_task(failed_output: str) -> None:
    assert "breaks: waiting to retry" in failed_output
    assert "breaks: running (try 2 of 2)" in failed_output
    lines = failed_output.partition("Last log lines of breaks")[2].partition("Last log lines")[0]
    assert "about to break" in lines
    assert "ValueError: no such table: raw.orders" in lines
    assert "site-packages" not in lines
    assert "Failed: breaks (ValueError: no such table: raw.orders) and transform (" in failed_output
    assert "make run DAG=breaks_down" in failed_output


def test_dbt_cloud_error_is_printed_with_advice(failed_output: str) -> None:
    before, _, ending = failed_output.partition("Last log lines of")
    assert BY_STATUS[404] in before
    assert "transform: waiting to retry" not in before, "a retry would fail again"
    assert f"{BY_STATUS[404]} Run make doctor for details." in ending
    assert failed_output.count("Traceback") == 1, "only for the other task"
    assert ".airflow/logs/run-breaks_down.log" in ending


def test_run_of_an_unknown_dag_lists_the_known_ones(checkout: Checkout) -> None:
    checkout.add_dag("counts", COUNTS)
    result = checkout.launch("run", "nothing")
    assert result.returncode == 1
    assert result.stderr == ("Error: Dag nothing does not exist. Dags in dags/: counts.\n")


def test_find_dag_names_a_file_that_cannot_be_imported(checkout: Checkout) -> None:
    dags = checkout.folder / "dags"
    (dags / "broken.py").write_text("import airflow, no_such_module  # dag\n")
    with pytest.raises(LaunchError, match=r"broken\.py cannot be imported \(ModuleNotFoundError"):
        find_dag("broken", dags)


def test_find_dag_names_a_file_that_airflow_skips(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's safe mode ignores files without both words."""
    folder = checkout.folder / "factories"
    folder.mkdir()
    (folder / "factory.py").write_text(
        "def make():\n    from airflow.sdk import DAG\n    return DAG('made', schedule=None)\n"
    )
    monkeypatch.syspath_prepend(folder)
    (checkout.folder / "dags" / "hidden.py").write_text("import factory\nmade = factory.make()\n")

    with pytest.raises(
        LaunchError, match=r"Airflow skips hidden\.py, which defines the Dag made: "
    ):
        find_dag("made", checkout.folder / "dags")


def test_find_dag_imports_only_skipped_files_with_the_dag_id(checkout: Checkout) -> None:
    """Importing a script that Airflow skips could have side effects."""
    dags = checkout.folder / "dags"
    (dags / "script.py").write_text(f"open({str(checkout.folder / 'ran')!r}, 'w')\n")

    with pytest.raises(LaunchError, match=r"Dag typo does not exist\."):
        find_dag("typo", dags)

    assert not (checkout.folder / "ran").exists()


def test_run_rejects_malformed_settings(checkout: Checkout) -> None:
    (checkout.folder / "airflow_settings.yaml").write_text("airflow:\n  pool: []\n")
    result = checkout.launch("run", "counts")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: airflow_settings.yaml cannot be used: ")
    assert "  line 2: airflow.pool: unknown key\n" in result.stderr


def test_ctrl_c_cancels_the_dbt_run_and_leaves_no_process(
    checkout: Checkout, local_dbt_cloud: LocalDbtCloud
) -> None:
    server = local_dbt_cloud
    # The server is idle afterwards.
    server.wait(server.trigger(DAILY_BUILD, steps_override=["dbt deps"]))
    checkout.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = server.connection
    checkout.add_dag("transforms", TRANSFORMS)
    launcher = subprocess.Popen(
        [sys.executable, "-m", "include.local_airflow", "run", "transforms"],
        cwd=checkout.folder,
        env=os.environ | checkout.variables | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=handle_ctrl_c,
    )
    assert launcher.stdout is not None
    with duckdb.connect(server.data / "warehouse.duckdb"):  # dbt waits for the lock
        lines = iter(launcher.stdout.readline, "")
        running = next(line for line in lines if "Running: Invoke dbt" in line)
        children = psutil.Process(launcher.pid).children(recursive=True)
        assert "Another make run is running" in checkout.launch("run", "transforms").stderr
        launcher.send_signal(signal.SIGINT)
        output, _ = launcher.communicate()

    run_id = int(running.partition("dbt Cloud run ")[2].split()[0])
    assert launcher.returncode == 130
    assert "the Dag run of transforms was aborted" in output
    assert f"Last state: dbt Cloud run {run_id} Cancelled" in output
    assert server.get(f"runs/{run_id}/")["is_cancelled"]
    assert children
    assert not any(child.is_running() for child in children)


def test_summary_counts_nodes_once_in_the_account_of_the_task(
    checkout: Checkout, local_dbt_cloud: LocalDbtCloud
) -> None:
    other_account = json.loads(local_dbt_cloud.connection) | {"login": "1"}
    checkout.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = json.dumps(other_account)
    checkout.add_dag("builds_with_docs", BUILDS_WITH_DOCS)

    result = checkout.launch("run", "builds_with_docs")

    run = local_dbt_cloud.get("runs/", order_by="-id", limit=1)[0]
    steps = local_dbt_cloud.get(f"runs/{run['id']}/", include_related="run_steps")["run_steps"]
    assert steps[-1]["name"] == "Invoke dbt with `dbt docs generate`"
    assert result.returncode == 0, result.stdout + result.stderr
    assert "dbt Cloud run: 12 models built, 11 tests passed, 2 unit tests passed" in result.stdout


def handle_ctrl_c() -> None:
    """Reset SIGINT, which shells ignore in background processes, such as tests."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
