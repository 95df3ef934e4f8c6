"""A local dbt Cloud with an object of each kind, for the comparison."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ..command_line import parse_settings
from ..testing import LocalDbtCloud
from .calls import DbtCloud, VerifyError

JOBS = """\
account: {id: 1, name: Local}
projects: [{id: 1, name: Local}]
environments: [{id: 1, project_id: 1, name: Production}]
jobs: [{id: 1, project_id: 1, environment_id: 1, name: Build, execute_steps: [dbt build]}]
"""
PROJECT = "/api/v3/accounts/1/projects/1"


@contextmanager
def running_local_dbt_cloud(folder: Path) -> Iterator[DbtCloud]:
    """Yield a server with one finished run, a variable and a webhook."""
    models = folder / "project" / "models"
    models.mkdir(parents=True)
    (models / "one.sql").write_text("select 1 as id\n")
    (models.parent / "dbt_project.yml").write_text("name: verify\nconfig-version: 2\n")
    (folder / "jobs.yaml").write_text(JOBS)
    dbt = ("--isolated", "--dbt-python", parse_settings([]).dbt_python)
    project = ("--dbt-project", models.parent, "--jobs", folder / "jobs.yaml")
    with LocalDbtCloud(folder / "data", dbt + project) as server:
        ours = DbtCloud(server.url, server.token, 1, str(server.ca_file))
        with closing(ours):
            fill(ours)
            server.wait(server.trigger(1))
            yield ours


def fill(ours: DbtCloud) -> None:
    """Create a variable and a webhook."""
    variable = {"new_name": "DBT_EXAMPLE", "project": "value"}
    post(ours, f"{PROJECT}/environment-variables/bulk/", {"env_var": variable})
    webhook = {
        "name": "example",
        "client_url": "http://localhost:9/",
        "event_types": ["job.run.completed"],
        "active": False,
        "job_ids": [],
    }
    post(ours, "/api/v3/accounts/1/webhooks/subscriptions", webhook)


def post(ours: DbtCloud, path: str, body: Any) -> None:
    answer = ours.post(path, body)
    if answer.note:
        raise VerifyError(f"The local dbt Cloud responded to {path} with {answer.note}.")
