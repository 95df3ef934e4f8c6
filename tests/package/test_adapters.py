"""dbt on PostgreSQL: another adapter than this repository's, with several runs at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.local_airflow.install.__main__ import CONSTRAINTS
from include.local_dbt_cloud.testing import LocalDbtCloud, share_authority
from tests.dbt_projects import write_project
from tests.embedded_postgres import embedded_postgres
from tests.package.environments import uv
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PROFILES = """\
config: {}
weather: &postgres
  target: dev
  outputs:
    dev:
      type: postgres
      host: "{{ env_var('DBT_HOST') }}"
      port: 5432
      user: "{{ env_var('DBT_USER') }}"
      password: "{{ env_var('DBT_ENV_SECRET_PASSWORD', '') }}"
      dbname: postgres
      schema: ada
      threads: 2
sales: *postgres
"""
JOBS = """\
account: {id: 16173, name: Two projects}
projects: [{id: 1, name: Weather}, {id: 2, name: Sales}]
environments: [{id: 1, project_id: 1, name: Production}, {id: 2, project_id: 2, name: Production}]
jobs:
  - {id: 1, project_id: 1, environment_id: 1, name: Weather, execute_steps: [dbt build]}
  - {id: 2, project_id: 2, environment_id: 2, name: Sales, execute_steps: [dbt build]}
"""
TABLE = "{{ config(materialized='table') }} "
SLOW = f"{TABLE}select 1 as id, pg_advisory_xact_lock(1)::text as locked"


@pytest.fixture(scope="module")
def dbt_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = tmp_path_factory.mktemp("dbt") / "venv" / "bin" / "python"
    uv("venv", python.parents[1])
    uv("pip", "install", "--python", python, "-c", CONSTRAINTS, "dbt-core", "dbt-postgres")
    return python


@pytest.fixture
def database(tmp_path: Path) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with embedded_postgres(tmp_path / "home") as url:
        plain = url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(plain, autocommit=True) as connection:
            yield connection


@pytest.fixture
def server(
    local_dbt_cloud_data: Path,
    dbt_python: Path,
    database: psycopg.Connection[tuple[Any, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LocalDbtCloud]:
    """Start a server with two projects, of which the first waits for a lock of the database."""
    (tmp_path / "profiles.yml").write_text(PROFILES)
    weather = write_project(tmp_path / "weather", "weather", days=SLOW)
    sales = write_project(tmp_path / "sales", "sales", orders="select 1 as id")
    monkeypatch.setenv("DBT_HOST", f"{database.info.host}")
    monkeypatch.setenv("DBT_USER", f"{database.info.user}")
    share_authority(local_dbt_cloud_data, tmp_path / "data")
    (tmp_path / "jobs.yaml").write_text(JOBS)
    options = (
        f"--dbt-python={dbt_python}",
        f"--profiles-dir={tmp_path}",
        f"--jobs={tmp_path / 'jobs.yaml'}",
        f"--dbt-project=1={weather}",
        f"--dbt-project=2={sales}",
    )
    with LocalDbtCloud(tmp_path / "data", options) as server:
        yield server


def test_runs_on_postgres_do_not_wait_for_each_other(
    server: LocalDbtCloud, database: psycopg.Connection[tuple[Any, ...]]
) -> None:
    database.execute("select pg_advisory_lock(1)")
    slow = server.trigger(1)
    waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
    eventually(lambda: database.execute(waiting).fetchone(), "a model waits for the lock")

    quick = server.wait(server.trigger(2))

    assert quick["is_success"], quick["run_steps"][-1]["logs"]
    assert quick["run_steps"][1]["name"] == "Create profile from connection PostgreSQL"
    assert not server.get(f"runs/{slow}/")["is_complete"]
    database.execute("select pg_advisory_unlock(1)")
    assert server.wait(slow)["is_success"]
    built = "select table_name from information_schema.tables where table_schema = 'ada'"
    assert set(database.execute(built)) == {("orders",), ("days",)}


def test_connection_of_postgres_has_what_lineage_needs(server: LocalDbtCloud) -> None:
    connection = server.get("projects/1/")["connection"]
    assert (connection["name"], connection["type"]) == ("PostgreSQL", "postgres")
    assert connection["details"]["port"] == 5432
    assert "password" not in f"{connection}"
    assert server.get("")["run_slots"] == 4
