from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("supervisor", reason="needs requirements-dev.txt")

from tests.e2e.airflow_client import Airflow
from tests.e2e.git import git
from tests.e2e.project import Project
from tests.e2e.secret_token import TOKEN, give_token
from tests.e2e.variants import write_variants
from tests.webhook_receiver import WebhookReceiver


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of this repository with its own token, in which nothing runs."""
    project = Project.copy_to(tmp_path_factory.mktemp("project"), token=TOKEN)
    give_token(project)
    write_variants(project)
    return project


@pytest.fixture(scope="session")
def airflow(project: Project) -> Iterator[Airflow]:
    """Yield the Airflow of ``make start``, with the local dbt Cloud."""
    with project.started():
        yield Airflow(project.port)


@pytest.fixture(scope="session")
def main_commit(airflow: Airflow, project: Project) -> str:
    """Of the dbt project in a git checkout, whose state production has built."""
    airflow.first_run("run_dbt_cloud_job")
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", "include/jaffle_shop")
    git(project, "commit", "--quiet", "--message=main")
    return git(project, "rev-parse", "HEAD")


@pytest.fixture
def sound_warehouse(airflow: Airflow, project: Project, tmp_path: Path) -> Iterator[None]:
    """Restore the warehouse after a test that broke it."""
    with project.warehouse():
        pass  # closing it writes everything into the one file
    copy = shutil.copy(project.warehouse_file, tmp_path)
    yield
    with project.warehouse():
        pass  # nobody else has it now
    shutil.copy(copy, project.warehouse_file)


@pytest.fixture(scope="module")
def receiver(airflow: Airflow) -> Iterator[WebhookReceiver]:
    """Where the connection notify_webhook leads to."""
    with WebhookReceiver() as receiver:
        connection = {"connection_id": "notify_webhook", "conn_type": "http", "host": receiver.url}
        airflow.call("POST", "/connections", **connection)
        yield receiver
        airflow.call("DELETE", "/connections/notify_webhook")
