"""
### Run dbt Core in one task

The whole dbt project in one `dbt build`, by the dbt Core of a virtual environment of its own: to
compare with dbt Cloud, and with `run_dbt_core_model_by_model`.

- Monitoring: one task is green or red; which model failed stands in its log.
- Recovery: a retry builds all models again, also those that had succeeded.
- Scheduler load: one task, whatever the number of models. The worker is held until dbt has ended.

Choose it for small projects, and where a full build is cheap. The password goes from the connection
into dbt's environment; it is in no file, command or log.

**Needs** the connection `warehouse_default` (host: the DuckDB file), the pool `warehouse` with one
slot, dbt in `dbt_venv`, rows in the schema `raw` (the local dbt Cloud loads them when it starts).

**To use it elsewhere** set `DBT`, `PROJECT`, `TARGET`, and in `ENVIRONMENT` what your
`profiles.yml` reads. Make the pool, or set `POOL = "default_pool"` if your warehouse bears several
dbt at once: a task whose pool is missing stays `scheduled` for ever, without an error.
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
# It stays between runs: dbt keeps here what it has parsed, and reads only what has changed since.
TARGET = ROOT / "include" / ".local" / "dbt_core"
POOL = "warehouse"  # one slot, since one process at a time may hold a DuckDB file

# All that dbt sees: none of Airflow's own variables, which hold secrets too. dbt masks values whose
# names begin with DBT_ENV_SECRET; a DuckDB file has no password, so here nothing reads it.
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
        ' --log-path "$PWD/logs"',  # in a temporary folder: Airflow keeps the task's log
        env=ENVIRONMENT,
        pool=POOL,
        execution_timeout=pendulum.duration(hours=1),
    )


run_dbt_core_in_one_task()
