"""The messages about connection variables that Airflow could not use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from airflow.sdk import Connection

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_check import check_connection, check_variables
from include.local_airflow.settings.connection_variable import UnusableConnectionError
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from tests.unit.local_airflow.conftest import ROOT, Checkout
from tests.unit.local_airflow.connection_forms import (
    FORMS,
    GOOD,
    NAME,
    TOKEN,
    json_with,
    json_without,
)


@pytest.mark.parametrize("form", FORMS)
def test_check_variables_rejects_a_value_that_airflow_cannot_use(form: str) -> None:
    value, message = FORMS[form]
    if form.startswith("example of "):
        value = re.search(rf"{NAME}=(.*)", (ROOT / value).read_text())[1]  # type: ignore[index]

    with pytest.raises(LaunchError) as stopped:
        check_variables({"PATH": "", NAME: value})

    assert str(stopped.value).startswith(f"{NAME} cannot be used. ")
    assert message in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert not any(secret in str(stopped.value) for secret in (TOKEN, "SeCrEt", "4242"))


@pytest.mark.parametrize(
    "value",
    [
        json_with(),
        f" {json_with()}\n",
        json.dumps(GOOD, indent=2),  # from a file, by the shell
        json_with(conn_type="dbt-cloud"),
        json_with(port=443),
        json_with(port=0, schema=None, extra="", description="mine"),
        json_with(host="localhost:8699", port=8699),
        json_with(host="cloud.getdbt.com"),
        json_with(host="local-dbt-cloud:8580", password="local-dbt-cloud-token"),
        json_with(host="[::1]:8580"),
        json_with(extra={"proxies": {"https": "http://proxy:3128"}}),
        json_with(extra='{"proxies": {"https": "http://proxy:3128"}}'),
        "dbt-cloud://16173:token@host",
        "DBT-Cloud://16173:to%2Fken@xy987.eu1.dbt.com/?proxies=x",
        "dbt-cloud://16173:token@localhost%3A8699",
        json.dumps({"uri": "dbt-cloud://16173:token@host"}),
    ],
)
def test_check_variables_accepts_a_value_that_airflow_can_use(value: str) -> None:
    check_variables({NAME: value})


OTHERS = {
    "AIRFLOW_CONN_DBT_CLOUD_WEBHOOKS": '{"conn_type": "generic", "password": "%s"}',
    "AIRFLOW_CONN_FIVETRAN_DEFAULT": '{"conn_type": "Fivetran", "login": "k", "password": "%s"}',
    "AIRFLOW_CONN_CENSUS_DEFAULT": '{"conn_type": "census", "password": "%s"}',
    "AIRFLOW_CONN_NOTIFY_SLACK": '{"conn_type": "slackwebhook", "password": "%s"}',
    "AIRFLOW_CONN_NOTIFY_WEBHOOK": "https://hooks.example.com/%s",
    "AIRFLOW_CONN_WAREHOUSE_DEFAULT": '{"host": "/tmp/%s.duckdb"}',
}


@pytest.mark.parametrize("name", OTHERS)
def test_check_variables_rejects_other_unreadable_connections(name: str) -> None:
    value = OTHERS[name] % TOKEN
    check_variables({name: value})

    broken = value[:-1] if value.startswith("{") else value.replace("://", ":/")
    with pytest.raises(LaunchError, match=f"^{name} cannot be used"):
        check_variables({NAME: json_with(), name: broken})
    if value.startswith("{"):
        with pytest.raises(LaunchError, match="is a number: write it in quotes"):
            check_variables(
                {name: value.replace(f'"{TOKEN}"', "1").replace("/tmp/", "")[:-1] + ', "login": 1}'}
            )
        with pytest.raises(LaunchError, match="is still the example"):
            check_variables({name: value.replace("}", ', "login": "..."}')})


@pytest.mark.parametrize("place", ["shell", ".env"])
@pytest.mark.parametrize("command", [("run", "run_dbt_cloud_job"), ("start",), ("doctor",)])
def test_command_with_an_invalid_connection_starts_nothing(
    command: tuple[str, ...], place: str, tmp_path: Path
) -> None:
    value, message = FORMS["login is a number"]
    checkout = Checkout(tmp_path, {NAME: value} if place == "shell" else {})
    (tmp_path / "include").symlink_to(ROOT / "include")
    if place == ".env":
        (tmp_path / ".env").write_text(f"{NAME}={value}\n")
    before = sorted(tmp_path.iterdir())

    ended = checkout.launch(*command)

    assert ended.returncode == 1
    assert ended.stderr == f"Error: {NAME} cannot be used. {message}\n"
    assert ended.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_check_variables_checks_every_connection_to_dbt_cloud() -> None:
    with pytest.raises(LaunchError, match=r"^AIRFLOW_CONN_SECOND cannot be used\. It has no host"):
        check_variables({"AIRFLOW_CONN_SECOND": json_without("host")})


def test_check_variables_rejects_a_lower_case_name() -> None:
    with pytest.raises(LaunchError, match=f"rename it to {NAME}"):
        check_variables({NAME.replace("DBT", "dbt"): json_with()})


def test_check_connection_rejects_a_stored_connection_without_a_login() -> None:
    stored = Connection(
        conn_id=DBT_CLOUD.conn_id,
        conn_type=DBT_CLOUD.conn_type,
        host=DBT_CLOUD.host,
        password="x",
        port=0,  # Airflow's UI stores 0 for no port
    )

    check_connection(stored, needs_login=False)
    with pytest.raises(UnusableConnectionError, match="It has no login"):
        check_connection(stored)
