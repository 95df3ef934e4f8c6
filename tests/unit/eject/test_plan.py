from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from include.eject.dag_file import ROOT
from include.eject.plan import Plan, choose
from tests.unit.eject.test_main import LOCAL_WORDS

DBT_CORE = "run_dbt_core_in_one_task"


def plan(*dags: str) -> Plan:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return Plan(ROOT, "ours", choose(ROOT, dags), tuple(tracked))


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda file: file.stem)
def test_no_docstring_speaks_of_what_has_gone(file: Path) -> None:
    text = plan(file.stem).written.get(f"dags/{file.name}", file.read_text())

    assert not LOCAL_WORDS.search(text)
    assert text.partition("from __future__")[2] == file.read_text().partition("from __future__")[2]


def test_a_dag_keeps_what_it_needs_and_nothing_else() -> None:
    ours = plan(DBT_CORE)

    assert "include/jaffle_shop/dbt_project.yml" in ours.kept
    assert "include/dbt_cloud/operator.py" in ours.deleted
    assert "dbt_venv" in ours.written["Dockerfile"]
    [pool] = yaml.safe_load(ours.written["airflow_settings.yaml"])["airflow"]["pools"]
    assert (pool["pool_name"], pool["pool_slot"]) == ("warehouse", 1)


def test_a_plugin_stays_with_a_dag_that_needs_it() -> None:
    plugin = "plugins/receive_dbt_cloud_webhooks.py"

    assert plugin in plan("wait_for_jobs_of_two_projects").kept
    assert plugin in plan("run_dbt_cloud_job_exactly_once").deleted


def test_a_dag_that_another_is_copied_with_stays_with_it() -> None:
    ours = plan("show_models_as_tasks")

    assert [dag.name for dag in ours.dags] == ["show_models_as_tasks", "write_lineage"]


def test_without_dbt_core_the_image_is_airflow_alone() -> None:
    ours = plan("run_dbt_cloud_job")

    assert ours.written["Dockerfile"].startswith("FROM astrocrpublic.azurecr.io/runtime:")
    assert ours.written["Dockerfile"].count("\n") == 1
    assert ours.written["requirements.txt"].startswith("apache-airflow-providers-dbt-cloud")
    [pool] = yaml.safe_load(ours.written["airflow_settings.yaml"])["airflow"]["pools"]
    assert not any(pool.values())


def test_every_file_has_its_place() -> None:
    ours = plan()

    assert not set(ours.kept) & set(ours.deleted)
    assert set(ours.kept) | set(ours.deleted) | ours.written.keys() >= set(ours.tracked)
