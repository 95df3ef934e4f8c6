"""Tests of the tasks that Cosmos creates from the dbt project, without running dbt."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
JAFFLE_SHOP = PROJECT / "include" / "jaffle_shop"
FILE = PROJECT / "dags" / "run_dbt_core_model_by_model.py"
KEYS = ("unique_id", "resource_type", "depends_on", "original_file_path", "tags")


def names_of_models() -> set[str]:
    """Return the models that dbt builds without a selection."""
    folders = ("staging", "marts")
    return {path.stem for name in folders for path in (JAFFLE_SHOP / "models" / name).glob("*.sql")}


def test_committed_nodes_match_dbt_ls(tmp_path: Path) -> None:
    options = ["--output", "json", "--output-keys", *KEYS, "--resource-type", "model"]
    places = ["--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")]
    dbt = PROJECT / "dbt_venv" / "bin" / "dbt"
    listed = subprocess.run(
        [dbt, "--quiet", "ls", *options, *places, "--profiles-dir", JAFFLE_SHOP],
        cwd=JAFFLE_SHOP,
        env={"WAREHOUSE_PATH": str(tmp_path / "warehouse.duckdb")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    committed = (JAFFLE_SHOP / "nodes.jsonl").read_text()

    assert [json.loads(line) for line in committed.splitlines()] == [
        json.loads(line) for line in listed.splitlines()
    ], f"models have changed: rewrite nodes.jsonl as described in {FILE.name}"


@pytest.mark.parametrize("mode", ["LOCAL", "WATCHER"])
def test_each_mode_has_a_task_per_model(mode: str, tmp_path: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    text = FILE.read_text()
    assert "EXECUTION_MODE = ExecutionMode.LOCAL" in text
    text = text.replace(
        "EXECUTION_MODE = ExecutionMode.LOCAL", f"EXECUTION_MODE = ExecutionMode.{mode}"
    )
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / FILE.name).write_text(text)
    (tmp_path / "include").symlink_to(PROJECT / "include")
    (tmp_path / "dbt_venv").symlink_to(PROJECT / "dbt_venv")

    bag = DagBag(tmp_path / "dags")

    assert not bag.import_errors
    tasks = bag.dags[FILE.stem].task_dict
    of_models = {name: task for name, task in tasks.items() if name.endswith("_run")}
    assert set(of_models) == {f"jaffle_shop.{model}_run" for model in names_of_models()}
    assert {mode.title() in task.task_type for task in of_models.values()} == {True}
    assert "jaffle_shop.stg_orders_run" in of_models["jaffle_shop.orders_run"].upstream_task_ids
    assert "jaffle_shop.jaffle_shop_test" in tasks
    assert ("jaffle_shop.dbt_producer_watcher" in tasks) is (mode == "WATCHER")


def test_dbt_core_dags_parse_before_dbt_is_installed(tmp_path: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "dags").mkdir()
    for file in PROJECT.glob("dags/run_dbt_core_*.py"):
        (tmp_path / "dags" / file.name).write_text(file.read_text())
    (tmp_path / "include").symlink_to(PROJECT / "include")
    assert not (tmp_path / "dbt_venv").exists()

    assert not DagBag(tmp_path / "dags").import_errors
    assert not os.path.exists(JAFFLE_SHOP / "target")
