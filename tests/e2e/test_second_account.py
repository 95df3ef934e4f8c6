"""A second account: with a correct connection, and with each mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.dbt_cloud.api.advice import BY_STATUS, NOT_REACHED, NOT_TRUSTED
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.e2e.project import CHECKOUT, Project
from tests.e2e.variants import change_file

pytestmark = [pytest.mark.slow, pytest.mark.group(name="second-account")]

JOBS_FILE = CHECKOUT / "include" / "local_dbt_cloud" / "second_account.yaml"
DAG, OWN_JOB = "run_dbt_cloud_job", 30010
NAME = "AIRFLOW_CONN_DBT_CLOUD_DEFAULT"


@pytest.fixture(scope="module")
def account(local_dbt_cloud_factory: MakeLocalDbtCloud) -> Iterator[LocalDbtCloud]:
    with local_dbt_cloud_factory("--jobs", JOBS_FILE) as server:
        yield server


@pytest.fixture(scope="module")
def project(account: LocalDbtCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Yield a clone with the second account in .env and the example's job ids."""
    project = Project.copy_to(tmp_path_factory.mktemp("clone"), retries=2)
    bundle = account.data / "ca-bundle.pem"
    write_dotenv(project, {NAME: account.connection, **trust(bundle)})
    yield project
    project.launcher("stop")


def write_dotenv(project: Project, lines: dict[str, str]) -> None:
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    (project.root / ".env").write_text(text)


def trust(bundle: Path) -> dict[str, str]:
    return {"REQUESTS_CA_BUNDLE": str(bundle), "SSL_CERT_FILE": str(bundle)}


@pytest.fixture
def runs_none(account: LocalDbtCloud) -> Iterator[None]:
    """Check that the test starts no dbt Cloud run."""
    before = [run["id"] for run in account.get("runs/")]
    yield
    assert [run["id"] for run in account.get("runs/")] == before


def test_printed_lines_connect_to_the_second_account() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    [line] = re.findall(rf"'{NAME}=(.+)'", makefile)

    fields = json.loads(line)
    assert fields["login"] == "20042"
    assert f"LOCAL_DBT_CLOUD_TOKEN={fields['password']} " in makefile
    assert f"--port {fields['host'].partition(':')[2]} " in makefile
    assert line in (CHECKOUT / "docs" / "second_account.md").read_text()


@pytest.mark.usefixtures("runs_none")
def test_doctor_folds_example_ids_into_one_problem(project: Project) -> None:
    result = project.launcher("doctor")

    assert result.returncode == 1
    assert result.stdout.count("✗ ") == 1, result.stdout
    assert "Dags still have the job ids of this repository: " in result.stdout
    assert "  In the Dags that you use, set JOB_ID to one of these: 30010 (Nightly" in result.stdout
    assert "Problems: 1, marked ✗." in result.stdout


@pytest.mark.usefixtures("runs_none")
def test_dag_rejects_the_local_warehouse_before_the_job_runs(project: Project) -> None:
    result = project.launcher("run", "extract_load_transform")

    assert result.returncode == 1
    assert "dbt_cloud_default is for localhost:" in result.stdout
    assert "replace open_local_warehouse in this Dag" in result.stdout
    assert "waiting to retry" not in result.stdout


def test_own_job_runs_once_its_id_is_set(project: Project, account: LocalDbtCloud) -> None:
    change_file(project.root / "dags" / f"{DAG}.py", {"JOB_ID = 65767": f"JOB_ID = {OWN_JOB}"})

    doctor = project.launcher("doctor")
    run = project.launcher("run", DAG)

    assert doctor.returncode == 0, doctor.stdout
    assert "All checks passed." in doctor.stdout
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"dbt Cloud: {account.host}, account 20042 ({NAME}, overrides the UI" in run.stdout
    [newest] = account.get("runs/", limit=1, order_by="-id")
    assert (newest["job_definition_id"], newest["status_humanized"]) == (OWN_JOB, "Success")


@pytest.mark.usefixtures("runs_none")
@pytest.mark.parametrize(
    ("change", "job_id", "message"),
    [
        ({"password": "wrong"}, OWN_JOB, BY_STATUS[401]),
        ({"login": "16173"}, OWN_JOB, BY_STATUS[403]),
        ({}, 65767, BY_STATUS[404]),
        ({"host": "localhost:1"}, OWN_JOB, NOT_REACHED),
        ({"trust": ""}, OWN_JOB, NOT_TRUSTED),
        ({"login": 20042}, OWN_JOB, "Its login is a number: write it in quotes"),
    ],
    ids=["token", "account", "job", "host", "certificate", "quotes"],
)
def test_mistake_ends_with_its_advice_and_without_a_run(
    project: Project,
    account: LocalDbtCloud,
    change: dict[str, str | int],
    job_id: int,
    message: str,
) -> None:
    fields = json.loads(account.connection) | change
    certificates = {} if "trust" in fields else trust(account.data / "ca-bundle.pem")
    fields.pop("trust", None)
    write_dotenv(project, {NAME: json.dumps(fields), **certificates})
    file = project.root / "dags" / f"{DAG}.py"
    file.write_text(re.sub(r"JOB_ID = \d+", f"JOB_ID = {job_id}", file.read_text()))

    run = project.launcher("run", DAG)

    assert run.returncode == 1
    assert message in run.stdout + run.stderr
    is_retried = message in (NOT_REACHED, NOT_TRUSTED)  # a network error may be temporary
    assert ("waiting to retry" in run.stdout) is is_retried
