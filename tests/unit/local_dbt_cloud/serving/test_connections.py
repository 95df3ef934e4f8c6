"""All copies of the local servers' addresses and credentials are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from include.local_airflow.settings.launch import DATA
from include.local_dbt_cloud.command_line import parse_settings
from include.local_dbt_cloud.serving.connections import (
    ALL,
    CENSUS,
    DBT_CLOUD,
    DOCKER_NAME,
    FIVETRAN,
)
from include.local_dbt_cloud.serving.data_folder import VARIABLE
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.shop.warehouse import warehouse_path
from tests.bundled import JOBS_FILE

PROJECT = Path(__file__).parents[4]


def test_dbt_cloud_login_is_the_account_of_the_jobs_file() -> None:
    assert read_jobs_file(JOBS_FILE).account.id == int(DBT_CLOUD.login)


def test_airflow_settings_match_the_local_connections() -> None:
    settings = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text())["airflow"]
    written = {entry["conn_id"]: entry for entry in settings["connections"]}

    for connection in ALL:
        entry = written[connection.conn_id]
        assert entry["conn_type"] == connection.conn_type
        assert entry["conn_host"] == connection.host
        assert str(entry["conn_login"] or "") == connection.login
        assert entry["conn_password"] == connection.password


def test_container_connections_use_the_docker_name(tmp_path: Path) -> None:
    for file in ("ca-bundle.pem", "token"):  # the files of the serving container for the others
        (tmp_path / file).write_text("secret")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shown = subprocess.run(
        ["bash", PROJECT / "include/in_docker.sh", "env", "--null"],
        cwd=PROJECT,
        env={"PATH": path, VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    environment = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)

    for connection in ALL:
        fields = json.loads(environment[connection.variable])
        assert fields["conn_type"] == connection.conn_type
        assert fields["host"] == f"{DOCKER_NAME}:{connection.port}"
        assert fields.get("login", "") == connection.login
        assert fields["password"] == "secret"


def test_compose_and_env_example_use_the_ports_of_the_connections() -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.override.yml").read_text())
    scheduler = compose["services"]["scheduler"]
    example = (PROJECT / ".env.example").read_text()

    assert scheduler["networks"]["airflow"]["aliases"] == [DOCKER_NAME]
    assert scheduler["ports"] == [f"127.0.0.1:{DBT_CLOUD.port}:{DBT_CLOUD.port}"]
    assert FIVETRAN.port == CENSUS.port  # one process serves both
    for variable, port in {"DBT_CLOUD": DBT_CLOUD.port, "FIVETRAN_CENSUS": FIVETRAN.port}.items():
        assert f"# {variable}_PORT={port}\n" in example


def test_the_shop_s_warehouse_is_in_the_servers_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It has a copy of the path, because a Dag is copied with include/shop/ only.
    monkeypatch.delenv(VARIABLE, raising=False)
    assert warehouse_path().parent == parse_settings([]).data == PROJECT / DATA
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert warehouse_path().parent == parse_settings([]).data == tmp_path
