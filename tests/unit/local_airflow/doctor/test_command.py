"""``make doctor``, with connections from each source that Airflow reads."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import certifi
import pytest

from include.dbt_cloud.api.advice import NOT_REACHED
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_dbt_cloud.serving.connections import TRUSTED
from include.local_dbt_cloud.testing import LocalDbtCloud, free_port
from tests.unit.local_airflow.conftest import Checkout

pytestmark = pytest.mark.slow

RUNS_JOB = """
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
DbtCloudRunJobOperator(task_id="transform", job_id={job_id}, dbt_cloud_conn_id="{conn_id}")
"""


def enter_in_ui(run_db: Path, conn_id: str, host: str, extra: str = "{}") -> None:
    fields: dict[str, object] = {"conn_id": conn_id, "conn_type": "dbt_cloud", "host": host}
    fields["extra"] = extra
    fields |= {"login": "7", "password": "x", "is_encrypted": 0, "is_extra_encrypted": 0}
    names, marks = ", ".join(fields), ", ".join("?" * len(fields))
    with sqlite3.connect(run_db) as database:
        database.execute(f"insert into connection ({names}) values ({marks})", [*fields.values()])


def test_doctor_resolves_each_connection_as_airflow_does(
    checkout: Checkout, local_dbt_cloud: LocalDbtCloud
) -> None:
    for dag_id, conn_id, job_id in (
        ("runs_missing_job", "dbt_cloud_default", 1),
        ("runs_other_job", "in_database", 2),
        ("runs_without_connection", "missing", 3),
    ):
        checkout.add_dag(dag_id, RUNS_JOB.format(job_id=job_id, conn_id=conn_id))
    checkout.add_dag("broken", "import no_such_module")
    enter_in_ui(checkout.folder / ".airflow" / "run.db", "in_database", "no.such.host.invalid")
    checkout.variables = {
        "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": local_dbt_cloud.connection,
        "REQUESTS_CA_BUNDLE": os.environ["REQUESTS_CA_BUNDLE"],
        "SSL_CERT_FILE": certifi.where(),  # the triggerer's
    }

    result = checkout.launch("doctor")

    assert result.returncode == 1
    output = result.stdout + result.stderr
    marks = [line[0] for line in output.splitlines()]
    assert marks == [*"✗ " * 5, "✓", "P"], output  # problems, then one summary line
    for words in (
        "✗ broken.py cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        f"✓ dbt_cloud_default ({local_dbt_cloud.host}, account 16173), 2 checks passed.",
        "✗ dbt_cloud_default: Tasks can reach",
        "but the triggerer, which waits for runs, cannot: unable to get local issuer certificate",
        "✗ dbt_cloud_default: runs_missing_job.transform: job 1 does not exist in account 16173",
        "  Set JOB_ID in runs_missing_job.py to one of these: ",
        "✗ in_database: no.such.host.invalid does not respond",
        "✗ Connection missing is not defined.",
        f"SSL_CERT_FILE is {certifi.where()} (the shell).",
        "Problems: 5, marked ✗.",
    ):
        assert words in output, output


def test_doctor_of_one_dag_lists_each_check_and_nothing_else(
    checkout: Checkout, local_dbt_cloud: LocalDbtCloud
) -> None:
    for dag_id, job_id in (("works", 65767), ("runs_missing_job", 1)):
        checkout.add_dag(dag_id, RUNS_JOB.format(job_id=job_id, conn_id="dbt_cloud_default"))
    checkout.add_dag("broken", "import no_such_module")
    checkout.variables = {
        "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": local_dbt_cloud.connection,
        "REQUESTS_CA_BUNDLE": os.environ["REQUESTS_CA_BUNDLE"],
        "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
    }

    works = checkout.launch("doctor", "works")
    fails = checkout.launch("doctor", "runs_missing_job")
    unknown = checkout.launch("doctor", "typo")

    assert works.returncode == 0, works.stdout
    marks = [line[0] for line in works.stdout.splitlines()]
    assert marks == [*"✓" * (len(marks) - 1), "A"]  # "All checks passed."
    assert "works.transform: job 65767 is 'Daily build'" in works.stdout
    assert "runs_missing_job" not in works.stdout
    assert fails.returncode == 1
    assert fails.stdout.startswith("✗ runs_missing_job.transform: job 1 does not exist in account")
    assert fails.stdout.count("✗ ") == 1
    assert unknown.returncode == 1
    assert "Dag typo was not found, and broken.py cannot be imported" in unknown.stderr


TWO_DAGS = """
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import DAG

FIRST_JOB_ID = 65767
DAILY_JOB_ID = 1
for name, job_id in {"first": FIRST_JOB_ID, "daily": DAILY_JOB_ID}.items():
    with DAG(name):
        DbtCloudRunJobOperator(task_id="transform", job_id=job_id)
"""


def test_doctor_of_one_dag_omits_the_job_of_another_dag_in_its_file(
    checkout: Checkout, local_dbt_cloud: LocalDbtCloud
) -> None:
    (checkout.folder / "dags" / "first_and_daily.py").write_text(TWO_DAGS)
    checkout.variables = {"AIRFLOW_CONN_DBT_CLOUD_DEFAULT": local_dbt_cloud.connection}
    checkout.variables |= {name: os.environ[name] for name in TRUSTED}

    result = checkout.launch("doctor", "first")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "first.transform: job 65767 is 'Daily build'" in result.stdout
    assert "DAILY_JOB_ID" not in result.stdout


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[1]", "✗ The connection dbt_cloud_webhooks comes from Airflow's database, and cannot be"),
        (
            '{"dbt_cloud_conn_id": 7}',
            "✗ dbt_cloud_conn_id in the extra of dbt_cloud_webhooks is not a connection id.\n",
        ),
    ],
)
def test_doctor_reports_a_malformed_extra(checkout: Checkout, extra: str, message: str) -> None:
    enter_in_ui(checkout.folder / ".airflow" / "run.db", "dbt_cloud_webhooks", "x", extra)

    result = checkout.launch("doctor")

    assert message in result.stdout, result.stdout + result.stderr
    assert "\nProblems: " in result.stdout


def files_of(checkout: Checkout) -> dict[Path, bytes]:
    """Return the checkout's files, without compiled Python files."""
    paths = (path for path in checkout.folder.rglob("*") if "__pycache__" not in path.parts)
    return {path: path.read_bytes() if path.is_file() else b"" for path in paths}


@pytest.mark.parametrize("is_fresh", [True, False])
def test_doctor_changes_nothing_and_reports_a_local_dbt_cloud_that_is_down(
    checkout: Checkout, is_fresh: bool
) -> None:
    port = free_port()
    if is_fresh:
        shutil.rmtree(checkout.folder / ".airflow")
    data = checkout.folder / "data"
    checkout.variables = {"DBT_CLOUD_PORT": str(port), "LOCAL_DBT_CLOUD_DATA": str(data)}

    before = files_of(checkout)

    result = checkout.launch("doctor")

    assert result.returncode == 1
    assert files_of(checkout) == before
    assert f"✗ localhost:{port} does not respond: Connection refused.\n" in result.stdout
    assert NOT_REACHED in result.stdout


def test_doctor_reports_a_connection_missing_in_the_running_airflow(checkout: Checkout) -> None:
    home = checkout.folder / ".airflow"
    checkout.variables = sqlite_database(home).environment() | {"AIRFLOW_HOME": str(home)}

    result = checkout.run("-m", "include.local_airflow.doctor", "--airflow", "http://127.0.0.1:1")

    assert "✗ The running Airflow has no connection dbt_cloud_default.\n" in result.stdout
    assert "make stop and make start to create it from airflow_settings.yaml" in result.stdout
