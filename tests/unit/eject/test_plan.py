from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from include.eject.dag_file import ROOT, DagFile, dag_files
from include.eject.plan import Plan, choose, text_of
from include.eject.to_set import places_to_set
from tests.unit.eject.test_main import LOCAL_WORDS

DBT_CORE = "run_dbt_core_in_one_task"
CHOICES = [(), *((dag.name,) for dag in dag_files())]
# git show COMMIT:docs/recovering.md reads the history.
PLACE = re.compile(r"(?<![\w/:])(?:dags|docs|include|plugins|skills|tests|tools)/[\w./-]*\w")
LINK = re.compile(r"\]\((?![a-z]+:)([^){#\s]+)(?:#[^)\s]*)?\)")  # of Markdown, in any file
# Files written at run time, and a plugin and data of other Dags.
NOT_COPIED = re.compile(r"include/\.local|plugins/show_dbt_cloud\.py|include/raw_data")


def plan(*dags: str) -> Plan:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return Plan(ROOT, "ours", choose(ROOT, dags), tuple(tracked), "c0ffee")


def left(ours: Plan) -> dict[str, str]:
    """Return every file of the new project with its text."""
    return {name: text_of(ROOT / name) for name in ours.kept} | ours.written


@pytest.mark.parametrize("dags", CHOICES, ids=" ".join)
def test_remaining_files_do_not_mention_removed_parts(dags: tuple[str, ...]) -> None:
    files = left(plan(*dags))

    for name, text in files.items():
        assert not LOCAL_WORDS.search(text), name
        places = set(PLACE.findall(text)) if name != ".gitignore" else set()
        gone = {place for place in places if not any(file.startswith(place) for file in files)}
        assert all(NOT_COPIED.match(place) for place in gone), (name, gone)


@pytest.mark.parametrize("dags", CHOICES, ids=" ".join)
def test_relative_links_of_the_ejected_project_resolve(dags: tuple[str, ...]) -> None:
    files = left(plan(*dags))
    links = [
        (name, os.path.normpath(Path(name).parent / link))
        for name, text in files.items()
        if not name.endswith(".min.js")
        for link in LINK.findall(text)
    ]

    assert ("README.md", f"dags/{plan(*dags).dags[0].path.name}") in links
    assert not [(name, link) for name, link in links if link not in files]


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


def test_plan_keeps_only_the_files_of_the_dag() -> None:
    ours = plan(DBT_CORE)

    assert "include/jaffle_shop/dbt_project.yml" in ours.kept
    assert "include/dbt_cloud/run/operator.py" in ours.deleted
    assert "dbt_venv" in ours.written["Dockerfile"]
    [pool] = yaml.safe_load(ours.written["airflow_settings.yaml"])["airflow"]["pools"]
    assert (pool["pool_name"], pool["pool_slot"]) == ("warehouse", 1)


def test_plan_keeps_the_plugin_of_a_dag() -> None:
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


def test_plan_replaces_the_jaffle_shops_lineage_with_an_empty_one() -> None:
    ours = plan("show_models_as_tasks")

    assert json.loads(left(ours)["include/lineage/daily_build.json"])["nodes"] == []


@pytest.mark.parametrize(
    "plugin", ["plugins/airflow_local_settings.py", "plugins/log_dbt_cloud_advice.py"]
)
def test_plan_keeps_the_plugins_for_every_dag_with_the_library(plugin: str) -> None:
    assert plugin in plan("report_run_results").kept
    assert plugin in plan("run_dbt_cloud_job").deleted


def test_plan_keeps_the_macro_that_a_dag_needs() -> None:
    macro = "include/jaffle_shop/macros/drop_pull_request_schema.sql"

    assert macro in plan("check_dbt_pull_request").kept
    assert macro in plan("run_dbt_cloud_job").deleted


@pytest.mark.parametrize("dag", dag_files(), ids=lambda dag: dag.name)
def test_docstring_names_each_id_that_has_to_be_set(dag: DagFile) -> None:
    ids = re.findall(r"^(\w+_ID) = ", dag.path.read_text(), re.MULTILINE)

    assert {each for each in ids if not each.endswith("CONN_ID")} <= dag.to_set


@pytest.mark.parametrize("dags", CHOICES, ids=" ".join)
def test_places_to_set_are_lines_of_the_new_files(dags: tuple[str, ...]) -> None:
    ours = plan(*dags)
    files = left(ours)

    for place in places_to_set(ours):
        file, line, text = re.match(r"([^:]+)(?::(\d+))?: (.+)", place).groups()  # type: ignore[union-attr]
        assert file in files
        if line:
            assert files[file].splitlines()[int(line) - 1] == text
            assert "CONN_ID" not in text


def test_makefile_has_the_commands_that_the_readme_names() -> None:
    written = plan().written

    named = set(re.findall(r"`make (\w+)", written["README.md"]))
    targets = re.findall(r"^(\w+):", written["Makefile"], re.MULTILINE)
    assert named == set(targets) == {"run", "doctor", "test", "check"}
    assert "make run DAG=run_dbt_cloud_job" in written["README.md"]


def test_places_to_set_include_constants_of_plugins_and_empty_lineage() -> None:
    history = "\n".join(places_to_set(plan("keep_dbt_cloud_history")))
    models = "\n".join(places_to_set(plan("show_models_as_tasks")))

    assert re.findall(r"^(\S+):\d+: HISTORY", history, re.MULTILINE) == [
        "dags/keep_dbt_cloud_history.py",
        "plugins/show_dbt_cloud.py",
    ]
    assert "DAG_ID" not in history
    assert re.findall(r"^(\S+):\d+: JOB_ID", models, re.MULTILINE) == [
        "dags/show_models_as_tasks.py",
        "dags/write_lineage.py",
    ]
    assert models.endswith("daily_build.json: run the Dag write_lineage to fill it")
