"""Several dbt projects on one server, and profiles of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.dbt_projects import write_project

pytestmark = pytest.mark.slow

PROFILES = """\
sales:
  target: dev
  outputs:
    dev: {type: duckdb, path: dev.duckdb, schema: "{{ env_var('DBT_OWNER') }}_sales"}
    prod: {type: duckdb, path: prod.duckdb}
"""
JOBS = """\
account: {id: 16173, name: Sales}
projects:
  - {id: 7, name: Sales, dbt_project_subdirectory: transform}
environments:
  - {id: 70, project_id: 7, name: Production}
  - {id: 71, project_id: 7, name: Audit, schema: audit}
jobs:
  - {id: 700, project_id: 7, environment_id: 70, name: Build, execute_steps: [dbt build]}
  - {id: 701, project_id: 7, environment_id: 71, name: Audit, execute_steps: [dbt build]}
"""


def results_of(server: LocalDbtCloud, job_id: int, **overrides: Any) -> dict[str, str]:
    """Run the job; return node → status."""
    run = server.wait(server.trigger(job_id, **overrides))
    path = f"runs/{run['id']}/artifacts/run_results.json"
    results = server.request("GET", path).json()["results"]
    return {one["unique_id"]: one["status"] for one in results}


def tables_in(file: Path) -> set[tuple[str, str]]:
    with duckdb.connect(file, read_only=True) as connection:
        query = "select table_schema, table_name from information_schema.tables"
        return set(connection.execute(query).fetchall())


def test_each_project_builds_its_own_folder(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path: Path
) -> None:
    sales = write_project(tmp_path / "sales", "sales", orders="select 1 as id")
    (sales / "days.csv").write_text("day\n1\n2\n")
    days = "select count(*) as days from read_csv('days.csv')"  # dbt runs in the project's folder
    (sales / "models" / "days.sql").write_text(days)
    weather = write_project(tmp_path / "a weather", "weather", warm="select 21 as degrees")
    options = ["--dbt-project", f"36467={sales}", "--dbt-project", str(weather)]
    server = make_local_dbt_cloud(*options)

    first = results_of(server, 65767, steps_override=["dbt build"])
    second = results_of(server, 48640, steps_override=["dbt build"])

    assert first == {"model.sales.days": "success", "model.sales.orders": "success"}
    assert second == {"model.weather.warm": "success"}
    assert {name for _, name in tables_in(server.data / "warehouse.duckdb")} >= {"orders", "warm"}


def test_runs_use_the_given_profile(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_OWNER", "ada")
    root = tmp_path / "repository"
    project = write_project(root / "transform", "sales", orders="select 1 as id")
    (root / "profiles.yml").write_text(PROFILES)
    (root / "jobs.yaml").write_text(JOBS)
    options = ("--dbt-project", root, "--profiles-dir", root, "--jobs", root / "jobs.yaml")
    server = make_local_dbt_cloud(*map(str, options))

    built = results_of(server, 700)
    assert built == {"model.sales.orders": "success"}
    assert tables_in(project / "dev.duckdb") == {("ada_sales", "orders")}
    results_of(server, 701)  # whose environment has a schema
    results_of(server, 700, schema_override="mine")
    schemas = {schema for schema, _ in tables_in(project / "dev.duckdb")}
    assert schemas == {"ada_sales", "audit", "mine"}
    connection = server.get("projects/7/")["connection"]
    assert connection["details"] == {"path": str(project / "dev.duckdb")}

    server.end()
    again = make_local_dbt_cloud(*map(str, options), "--target", "prod")
    results_of(again, 700)
    assert tables_in(project / "prod.duckdb") == {("main", "orders")}


def test_extended_attributes_reach_the_profile(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "sales", "sales", orders="select 1 as id")
    server = make_local_dbt_cloud("--dbt-project", str(project))
    path = "/api/v3/accounts/16173/projects/36467"
    attributes = {"schema": "mine", "path": "mine.duckdb"}
    made = server.request(
        "POST", f"{path}/extended-attributes/", json={"extended_attributes": attributes}
    )
    environment = server.get(f"{path}/environments/29118/")
    changed = environment | {"extended_attributes_id": made.json()["data"]["id"]}
    assert server.request("POST", f"{path}/environments/29118/", json=changed).is_success

    results_of(server, 65767, steps_override=["dbt build"])
    results_of(server, 65767, steps_override=["dbt build"], schema_override="theirs")

    built = tables_in(project / "mine.duckdb")
    assert built == {("mine", "orders"), ("theirs", "orders")}


def test_subdirectory_that_is_gone_fails_the_run(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path: Path
) -> None:
    sales = write_project(tmp_path / "sales", "sales", orders="select 1 as id")
    server = make_local_dbt_cloud("--dbt-project", str(sales))
    body = {"name": "Jaffle shop", "dbt_project_subdirectory": "elsewhere"}
    assert server.request("POST", "projects/36467/", json=body).is_success

    run = server.wait(server.trigger(DAILY_BUILD))

    assert run["is_error"]
    assert f"{sales}/elsewhere" in run["run_steps"][0]["logs"]
