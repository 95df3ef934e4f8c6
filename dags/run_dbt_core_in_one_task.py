"""
### Run dbt Core in one task

Builds the whole dbt project with one `dbt build`, by dbt Core in a separate virtual environment,
for a comparison with dbt Cloud and with `run_dbt_core_model_by_model`.

- Monitoring: one task is green or red; its log has the failed models.
- Recovery: a retry builds all models again, including successful ones.
- Scheduler load: one task for any number of models. It holds a worker until dbt has finished.

Choose it for small projects with a cheap full build. The connection's password is passed in dbt's
environment; it is in no file, command or log.

**Needs** the connection `warehouse_default` (host: the DuckDB file), the pool `warehouse` with one
slot, dbt in `dbt_venv`, rows in the schema `raw` (as cloned, the local dbt Cloud loads them).

**To use it elsewhere** set `DBT`, `PROJECT`, `TARGET`, and in `ENVIRONMENT` what your
`profiles.yml` reads. Create the pool, or set `POOL = "default_pool"` if your warehouse supports
several dbt processes: a task whose pool is missing stays `scheduled` forever, without an error.
**Copy with** include/jaffle_shop/
"""

from __future__ import annotations

from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

ROOT = Path(__file__).parents[1]
DBT = ROOT / "dbt_venv" / "bin" / "dbt"
PROJECT = ROOT / "include" / "jaffle_shop"
# Kept between runs, so that dbt parses only changed files.
TARGET = ROOT / "include" / ".local" / "dbt_core"
POOL = "warehouse"  # one slot, since one process at a time may hold a DuckDB file

# dbt's whole environment, without Airflow's own variables, which contain secrets. dbt masks values
# whose names start with DBT_ENV_SECRET; a DuckDB file has no password, so this one is unused.
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
def run_dbt_core_in_one_task() -> None:
    BashOperator(
        task_id="dbt_build",
        bash_command=f"'{DBT}' build --project-dir '{PROJECT}' --profiles-dir '{PROJECT}'"
        f" --target-path '{TARGET}'"
        ' --log-path "$PWD/logs"',  # in a temporary folder, since Airflow stores the log
        env=ENVIRONMENT,
        pool=POOL,
        execution_timeout=pendulum.duration(hours=1),
    )


run_dbt_core_in_one_task()
