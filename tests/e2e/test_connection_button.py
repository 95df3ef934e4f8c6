"""What the button Test of a connection says, asked as the UI asks it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.secret_token import TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-a")]


def answer_of(airflow: Airflow, **connection: Any) -> tuple[bool, str]:
    said = airflow.call("POST", "/connections/test", conn_type="dbt_cloud", **connection)
    return said["status"], said["message"]


def test_connection_test_succeeds_as_cloned(airflow: Airflow) -> None:
    stored = airflow.call("GET", "/connections/dbt_cloud_default")
    shown = {name: stored[name] for name in ("connection_id", "host", "login")}
    empty = {"description": "", "extra": "{}", "port": 0, "schema": ""}

    # The UI sends stars, and Airflow takes the stored password.
    said = answer_of(airflow, password="***", **shown, **empty)

    assert said == (True, "Successfully connected to dbt Cloud.")


@pytest.mark.parametrize(
    ("host", "token", "said"),
    [
        ("localhost:{port}", TOKEN, "Successfully connected"),
        ("localhost:{port}", "wrong", "401:Unauthorized"),
        ("localhost:{port}", None, "An API token is required"),
        ("no.such.host.invalid", TOKEN, "Failed to resolve 'no.such.host.invalid'"),
        ("localhost:1", TOKEN, "Connection refused"),
        ("https://localhost:{port}", TOKEN, "Failed to resolve 'https'"),
    ],
)
def test_connection_test_reports_success_or_the_cause_of_failure(
    airflow: Airflow, project: Project, host: str, token: str | None, said: str
) -> None:
    host = host.format(port=project.dbt_cloud_port)
    well, message = answer_of(airflow, connection_id="new", host=host, login="1", password=token)

    assert said in message
    assert well == ("Successfully" in said)
