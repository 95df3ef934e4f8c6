"""
### Run dbt Core, one Airflow task per model

Cosmos makes tasks of the dbt project's models, in dbt's order, and one of all tests at the end.

- Monitoring: each model has its own task, log, duration and history in Airflow's grid.
- Recovery: a failed model is retried alone, then what follows it; what succeeded stays.
- Scheduler load: a task per model. With hundreds of them Airflow is the bottleneck, not dbt.

`EXECUTION_MODE` says who runs dbt. `LOCAL`: each task starts dbt for its model, some seconds every
time. `WATCHER`: one task runs one `dbt build`, the others wait in the triggerer for their models;
faster, and it needs a scheduler: `make run` has one task at a time.

Nothing calls dbt while this file is parsed: Cosmos reads `nodes.jsonl`. When models change, write
it anew in the dbt project's folder: `dbt --quiet ls --output json --output-keys unique_id
resource_type depends_on original_file_path tags --resource-type model > nodes.jsonl`

**Needs** the connection `warehouse_default` (host: the DuckDB file), the pool `warehouse` with one
slot, dbt in `dbt_venv`, rows in the schema `raw` (the local dbt Cloud loads them when it starts),
astronomer-cosmos.

**To use it elsewhere** set `DBT`, `PROJECT`, and in `ENVIRONMENT` what your `profiles.yml` reads.
Make the pool, or set `POOL = "default_pool"` if your warehouse bears several dbt at once: a task
whose pool is missing stays `scheduled` for ever, without an error. Tasks find what dbt has parsed
in `[cosmos] cache_dir`, in `/tmp` by default: with a pod per task, set a folder that they share.
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
            # With one slot, watching tasks would wait for the end of the dbt build that they watch.
            "pool": "default_pool" if EXECUTION_MODE == ExecutionMode.WATCHER else POOL,
        },
    )


run_dbt_core_model_by_model()
