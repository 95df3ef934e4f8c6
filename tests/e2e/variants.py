"""Dags that only tests need: copies with other words in them, there before Airflow starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.project import Project

MISSING_JOB, TELLING = "run_missing_job", "run_and_tell"
UNREADABLE = "run_unreadable_code"
# The whole Dag run's failure is told, not the task's.
TELLS = {
    "from airflow.sdk import dag\n": "from airflow.sdk import dag\n"
    "from include.dbt_cloud import notifications\n",
    "doc_md=__doc__,": "doc_md=__doc__, on_failure_callback=notifications.notify_failure,",
}
WATCHED, THREE_MODELS = "run_watched", "run_three_models"
BY_MODEL = "run_dbt_core_model_by_model"
SHOWN = "show_models_as_tasks"
# Without retries, so that what failed stays; several Dag runs at once.
SHOWN_ONCE, SHOWN_STALE = "show_once", "show_stale"
# A task that waits for a whole task group.
AFTER = "report"
WITH_TASK_AFTER = {
    "import dag\n": "import dag, task\n",
    "@dag(": "@task\ndef report() -> None:\n    print('It has run.')\n\n\n@dag(",
    "execution_timeout=timedelta(hours=1),\n    )": ") >> report()",
}
NO_BATCHES = "backfill_no_batches"
MANY, ONE_BY_ONE, IN_A_POOL = "run_many_dbt_cloud_jobs", "run_one_by_one", "run_in_a_pool"
ASKING, ASKING_IN_VAIN = "approve_before_dbt_cloud_run", "approve_in_vain"
PUBLISHED, PUBLISHED_ONCE = "publish_models_as_assets", "publish_once"
MODELS = ("stg_stores", "stg_products", "stores")


# A file that Airflow parses, and gets no Dag from.
HELPER = "from airflow.sdk import Asset\n\nORDERS = Asset('orders')  # for more than one Dag\n"


def write_variants(project: Project) -> None:
    (project.root / "dags" / "what_dags_share.py").write_text(HELPER)
    write_variant(project, "run_dbt_cloud_job", MISSING_JOB, {"65767": "1"} | TELLS)
    write_variant(project, "run_dbt_cloud_job", TELLING, TELLS)
    step = """job_id=JOB_ID, steps_override=['dbt show --inline "selec 1"'],"""
    write_variant(project, "run_dbt_cloud_job", UNREADABLE, {"job_id=JOB_ID,": step})
    # A corner of the dbt project, since each task takes dbt's start, some seconds.
    nodes = project.root / "include" / "jaffle_shop" / "nodes.jsonl"
    names = tuple(f'{{"unique_id": "model.jaffle_shop.{name}"' for name in MODELS)
    lines = nodes.read_text().splitlines(keepends=True)
    nodes.with_name("few.jsonl").write_text("".join(x for x in lines if x.startswith(names)))
    write_variant(project, BY_MODEL, WATCHED, {"nodes": "few", "LOCAL": "WATCHER"})
    once = {'"retries": 1': '"retries": 0'}
    write_variant(project, BY_MODEL, THREE_MODELS, {"nodes": "few"} | once)
    write_model_variants(project, once)
    none = {'"config.incremental_strategy:microbatch"': '"tag:none"'}
    write_variant(project, "backfill_dbt_cloud_job", NO_BATCHES, none)
    one = {"finance_*": "one_by_one_*", "RUNS_AT_ONCE = 4": "RUNS_AT_ONCE = 1"}
    write_variant(project, MANY, ONE_BY_ONE, one | {"CHAIN = 2": "CHAIN = 3"})
    pool = {"max_active_tis_per_dag=RUNS_AT_ONCE": 'pool="dbt_runs"', "finance_*": "in_a_pool_*"}
    write_variant(project, MANY, IN_A_POOL, pool)
    hurry = {"RESPONSE_TIMEOUT = timedelta(hours=12)": "RESPONSE_TIMEOUT = timedelta(seconds=1)"}
    write_variant(project, ASKING, ASKING_IN_VAIN, hurry)


def write_model_variants(project: Project, once: dict[str, str]) -> None:
    tells = {
        "from airflow.sdk import dag\n": TELLS["from airflow.sdk import dag\n"],
        '"retries": 1': '"retries": 0, "on_failure_callback": notifications.notify_failure',
    }
    write_variant(project, SHOWN, SHOWN_ONCE, {"max_active_runs=1": "max_active_runs=3", **tells})
    write_variant(project, PUBLISHED, PUBLISHED_ONCE, once)
    # The file lacks models that the job builds, and has one that it does not, before the others.
    lineage = project.root / "include" / "lineage" / "daily_build.json"
    stale = json.loads(lineage.read_text())
    names = {"model.jaffle_shop.products", "model.jaffle_shop.daily_revenue"}
    stale["nodes"] = [node for node in stale["nodes"] if not names & {node["unique_id"]}]
    for node in stale["nodes"]:
        node["parents"] = node["parents"] or ["model.jaffle_shop.gone"]
    gone: dict[str, Any] = {"unique_id": "model.jaffle_shop.gone", "name": "gone", "type": "model"}
    stale["nodes"].insert(0, {**gone, "parents": [], "relation": "warehouse.analytics.gone"})
    lineage.with_name("stale.json").write_text(json.dumps(stale))
    after = {"daily_build.json": "stale.json", **WITH_TASK_AFTER}
    write_variant(project, SHOWN, SHOWN_STALE, after)


def write_variant(project: Project, original: str, dag_id: str, changes: dict[str, str]) -> None:
    text = (project.root / "dags" / f"{original}.py").read_text()
    text = changed(text, {f"{original}()": f"{dag_id}()", **changes})
    (project.root / "dags" / f"{dag_id}.py").write_text(text)


def build_one_model(project: Project) -> None:
    """For where dbt is not the point: the jobs that would build all build one model."""
    jobs = project.root / "include" / "local_dbt_cloud" / "jobs.yaml"
    change_file(jobs, {"- dbt build": "- dbt build --select stg_stores"})


def change_file(file: Path, changes: dict[str, str]) -> None:
    file.write_text(changed(file.read_text(), changes))


def changed(text: str, changes: dict[str, str]) -> str:
    """Replace words of the text, each of which must occur in it."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text
