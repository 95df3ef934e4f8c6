"""``make doctor`` and ``make run`` of the ejected project, on the local dbt Cloud."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.eject.test_plan import plan

pytestmark = pytest.mark.slow

DAG = "run_dbt_cloud_job"
FILE = f"dags/{DAG}.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return an ejected project with one Dag."""
    ours = plan(DAG)
    for name in {*ours.kept, *ours.written}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(ours.text(name))
    return tmp_path


def connect(project: Path, server: LocalDbtCloud, **changes: str | None) -> None:
    fields = {**json.loads(server.connection), **changes}
    (project / ".env").write_text(f"AIRFLOW_CONN_DBT_CLOUD_DEFAULT={json.dumps(fields)}\n")


def tool(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=ours, capture_output=True, text=True
    )


def set_job_id(project: Path, value: str) -> None:
    file = project / FILE
    file.write_text(re.sub(r"^JOB_ID = .+", f"JOB_ID = {value}", file.read_text(), flags=re.M))


def test_doctor_of_an_ejected_project_names_account_and_jobs(
    project: Path, local_dbt_cloud: LocalDbtCloud
) -> None:
    connect(project, local_dbt_cloud)

    done = tool(project, "tools.doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    account = f"{local_dbt_cloud.url}/, account {local_dbt_cloud.account_id}"
    assert f"✓ dbt_cloud_default: {account}" in done.stdout
    assert f"✓ {FILE}:22: JOB_ID = {DAILY_BUILD} is 'Daily build'." in done.stdout
    assert done.stdout.endswith("All checks passed.\n")


@pytest.mark.parametrize(
    ("changes", "problem", "advice"),
    [
        ({"password": "wrong"}, "returned 401", "Create a service token"),
        ({"login": "7"}, "returned 403 for account 7", "Set the connection's login"),
        ({"login": "mine"}, "cannot be used", "Set AIRFLOW_CONN_DBT_CLOUD_DEFAULT in .env"),
        ({"password": None}, "An API token is required", "Set AIRFLOW_CONN_DBT_CLOUD_DEFAULT"),
        ({"host": "localhost:1"}, "does not respond as dbt Cloud", "Set the connection's host"),
    ],
)
def test_doctor_of_an_ejected_project_advises_on_a_wrong_connection(
    project: Path,
    local_dbt_cloud: LocalDbtCloud,
    changes: dict[str, str | None],
    problem: str,
    advice: str,
) -> None:
    connect(project, local_dbt_cloud, **changes)

    done = tool(project, "tools.doctor")

    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"✗ .*{problem}.*\n  {advice}", done.stdout), done.stdout
    assert done.stdout.endswith("Problems: 1, marked ✗.\n")


def test_doctor_of_an_ejected_project_reports_a_missing_connection(project: Path) -> None:
    done = tool(project, "tools.doctor")

    assert done.returncode == 1
    assert "✗ The connection dbt_cloud_default cannot be used" in done.stdout
    assert "Set AIRFLOW_CONN_DBT_CLOUD_DEFAULT in .env" in done.stdout


@pytest.mark.parametrize("value", ["12345", '"<your dbt Cloud job id>"'])
def test_doctor_of_an_ejected_project_lists_jobs_for_a_wrong_id(
    project: Path, local_dbt_cloud: LocalDbtCloud, value: str
) -> None:
    connect(project, local_dbt_cloud)
    set_job_id(project, value)

    done = tool(project, "tools.doctor")

    assert done.returncode == 1
    problem = re.search(
        rf"✗ {FILE}:22: JOB_ID = .+ is not a job of account (\d+)\.\n  (.+)", done.stdout
    )
    assert problem, done.stdout
    assert f"{DAILY_BUILD} (Daily build)" in problem[2]


def test_run_dag_of_an_ejected_project_runs_the_job(
    project: Path, local_dbt_cloud: LocalDbtCloud
) -> None:
    connect(project, local_dbt_cloud)
    listed = {"job_definition_id": DAILY_BUILD, "limit": 1, "order_by": "-id"}
    before = local_dbt_cloud.get("runs/", **listed)

    done = tool(project, "tools.run_dag", DAG)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [run] = local_dbt_cloud.get("runs/", **listed)
    assert run["status_humanized"] == "Success"
    assert [run["id"]] != [one["id"] for one in before]
    assert not (project / "airflow.db").exists()


def test_run_dag_of_an_ejected_project_fails_with_the_dag_run(
    project: Path, local_dbt_cloud: LocalDbtCloud
) -> None:
    connect(project, local_dbt_cloud)
    set_job_id(project, "12345")
    file = project / FILE
    file.write_text(re.sub(r'"retries": \d+', '"retries": 0', file.read_text()))

    assert tool(project, "tools.run_dag", DAG).returncode != 0


def test_run_dag_of_an_ejected_project_asks_for_a_dag(project: Path) -> None:
    done = tool(project, "tools.run_dag")

    assert (done.returncode, done.stderr) == (1, "Set the Dag: make run DAG=id\n")
