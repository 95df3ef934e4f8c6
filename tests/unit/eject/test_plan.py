from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from include.eject.dag_file import ROOT, dag_files
from include.eject.plan import Plan, choose
from tests.unit.eject.test_main import LOCAL_WORDS

DBT_CORE = "run_dbt_core_in_one_task"
CHOICES = [(), *((dag.name,) for dag in dag_files())]
PLACE = re.compile(r"(?<![\w/])(?:dags|docs|include|plugins|skills|tests)/[\w./-]*\w")
# README says how to read these; what is written at run time is nowhere.
IN_THE_HISTORY = re.compile(r"docs/|plugins/|include/(raw_data|jaffle_shop/macros|\.local)")


def plan(*dags: str) -> Plan:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return Plan(ROOT, "ours", choose(ROOT, dags), tuple(tracked), "c0ffee")


def left(ours: Plan) -> dict[str, str]:
    """Every file of the project to come, and its text."""
    return {name: (ROOT / name).read_text() for name in ours.kept} | ours.written


@pytest.mark.parametrize("dags", CHOICES, ids=" ".join)
def test_remaining_files_do_not_mention_removed_parts(dags: tuple[str, ...]) -> None:
    files = left(plan(*dags))

    for name, text in files.items():
        assert not LOCAL_WORDS.search(text), name
        places = set(PLACE.findall(text)) if name != ".gitignore" else set()
        gone = {place for place in places if not any(file.startswith(place) for file in files)}
        assert all(IN_THE_HISTORY.match(place) for place in gone), (name, gone)
        for link in re.findall(r"\]\(([^):]+)\)", text) if name.endswith(".md") else []:
            assert (Path(name).parent / link).as_posix() in files, (name, link)


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda file: file.stem)
def test_plan_does_not_change_the_code_of_a_dag(file: Path) -> None:
    text = left(plan(file.stem))[f"dags/{file.name}"]

    assert text.partition("from __future__")[2] == file.read_text().partition("from __future__")[2]


def test_plan_without_names_keeps_dags_that_need_only_dbt_cloud() -> None:
    dags = {dag.name for dag in plan().dags}

    assert {"keep_dbt_cloud_history", "run_dbt_cloud_job", "show_models_as_tasks"} <= dags
    assert not {"fivetran_dbt_cloud_census", "react_to_dbt_cloud_run", DBT_CORE} & dags


@pytest.mark.parametrize(
    ("dag", "connections"),
    [
        ("run_dbt_cloud_job_exactly_once", []),
        ("react_to_dbt_cloud_run", ["DBT_CLOUD_WEBHOOKS"]),
        ("fivetran_dbt_cloud_census", ["FIVETRAN_DEFAULT", "CENSUS_DEFAULT"]),
    ],
)
def test_env_example_lists_only_the_connections_of_the_dag(
    dag: str, connections: list[str]
) -> None:
    text = plan(dag).written[".env.example"]

    assert re.findall(r"^#? ?AIRFLOW_CONN_(\w+)=", text, re.MULTILINE) == [
        "DBT_CLOUD_DEFAULT",
        *connections,
    ]


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


def test_plan_keeps_a_dag_that_the_chosen_one_needs() -> None:
    ours = plan("show_models_as_tasks")

    assert [dag.name for dag in ours.dags] == ["show_models_as_tasks", "write_lineage"]


def test_plan_without_dbt_core_reduces_the_image_to_airflow() -> None:
    ours = plan("run_dbt_cloud_job")

    assert ours.written["Dockerfile"].startswith("FROM astrocrpublic.azurecr.io/runtime:")
    assert ours.written["Dockerfile"].count("\n") == 1
    assert ours.written["requirements.txt"].startswith("apache-airflow-providers-dbt-cloud")
    [pool] = yaml.safe_load(ours.written["airflow_settings.yaml"])["airflow"]["pools"]
    assert not any(pool.values())


def test_plan_keeps_deletes_or_writes_every_tracked_file() -> None:
    ours = plan()

    assert not set(ours.kept) & set(ours.deleted)
    assert set(ours.kept) | set(ours.deleted) | ours.written.keys() >= set(ours.tracked)
