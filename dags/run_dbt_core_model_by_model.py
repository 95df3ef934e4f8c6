"""
### Run dbt Core, one Airflow task per model

Cosmos creates a task per model of the dbt project, in dbt's order, and one for all tests.

- Monitoring: each model has its own task, log, duration and history in Airflow's grid.
- Recovery: a failed model is retried alone, then its children; successful models are kept.
- Scheduler load: a task per model. With hundreds of them Airflow is the bottleneck, not dbt.

`EXECUTION_MODE` selects how dbt runs. `LOCAL`: each task starts dbt for its model, which takes some
seconds. `WATCHER`: one task runs one `dbt build`, and the others wait for their models in the
triggerer. It is faster, but needs a scheduler (as cloned, `make run` runs one task at a time).

Parsing this file does not call dbt: Cosmos reads `nodes.jsonl`. When models change, rewrite
it in the dbt project's folder: `dbt --quiet ls --output json --output-keys unique_id
resource_type depends_on original_file_path tags --resource-type model > nodes.jsonl`

**Needs** the connection `warehouse_default` (host: the DuckDB file), the pool `warehouse` with one
slot, dbt in `dbt_venv`, rows in the schema `raw` (as cloned, the local dbt Cloud loads them),
astronomer-cosmos.

**To use it elsewhere** set `DBT`, `PROJECT`, and in `ENVIRONMENT` what your `profiles.yml` reads.
Create the pool, or set `POOL = "default_pool"` if your warehouse supports several dbt processes: a
task whose pool is missing stays `scheduled` forever, without an error. Tasks share dbt's parsed
project in `[cosmos] cache_dir`, by default in `/tmp`: with a pod per task, set a shared folder.
**Copy with** include/jaffle_shop/
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import dag
from cosmos import (
    DbtTaskGroup,
    ExecutionConfig,
    ExecutionMode,
    InvocationMode,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
    TestBehavior,
)

EXECUTION_MODE = ExecutionMode.LOCAL  # or WATCHER
ROOT = Path(__file__).parents[1]
DBT = ROOT / "dbt_venv" / "bin" / "dbt"
PROJECT = ROOT / "include" / "jaffle_shop"
POOL = "warehouse"  # one slot, since one process at a time may hold a DuckDB file
ENVIRONMENT = {
    "WAREHOUSE_PATH": "{{ conn.warehouse_default.host }}",
    "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": "{{ conn.warehouse_default.password or '' }}",
}


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Core"],
    doc_md=__doc__,
)
def run_dbt_core_model_by_model() -> None:
    DbtTaskGroup(
        group_id="jaffle_shop",
        project_config=ProjectConfig(PROJECT, env_vars=ENVIRONMENT, install_dbt_deps=False),
        profile_config=ProfileConfig(
            profile_name="jaffle_shop",
            target_name="production",
            profiles_yml_filepath=PROJECT / "profiles.yml",
        ),
        execution_config=ExecutionConfig(
            execution_mode=EXECUTION_MODE,
            invocation_mode=InvocationMode.SUBPROCESS,
            dbt_executable_path=str(DBT),
            setup_operator_args={"pool": POOL},  # WATCHER's one dbt build
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_LS_FILE,
            dbt_ls_path=PROJECT / "nodes.jsonl",
            test_behavior=TestBehavior.AFTER_ALL,
            emit_datasets=False,
        ),
        operator_args={
            "append_env": False,
            # A timedelta: the watching tasks defer with it, and Airflow cannot store pendulum's.
            "execution_timeout": timedelta(hours=1),
            # With one slot, watching tasks would wait for the end of their dbt build.
            "pool": "default_pool" if EXECUTION_MODE == ExecutionMode.WATCHER else POOL,
        },
    )


run_dbt_core_model_by_model()
