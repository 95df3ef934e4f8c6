"""
### Wait for jobs of two projects

Starts once a job of the shop's dbt Cloud project and one of finance's have both finished, started
by Airflow or not, and compares their revenue. Use it if a Dag needs tables of several projects (a
mesh) that no common schedule covers.

- Each run of a job is one asset event. A watcher polls dbt Cloud for all of them in one call, so
  Airflow needs no open port. With webhooks the events arrive sooner, and still once.
- It checks the newest run of each job: if one failed, this Dag run fails and names it. After that
  job has been repaired and has run again, clear the task; the other job does not need to run again.
- A manual Dag run does the same. It is skipped if one of the jobs has never run.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), the
plugin `receive_dbt_cloud_webhooks`, which deduplicates events, and duckdb. Failures are sent by
`notify_email`, `notify_slack` and `notify_webhook`.

**To use it elsewhere** set `SHOP_JOB_ID` and `FINANCE_JOB_ID`, and replace `compare_revenue`.
**Copy with** include/dbt_cloud/, include/shop/, plugins/receive_dbt_cloud_webhooks.py
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import dag, task

from include.dbt_cloud import notifications
from include.dbt_cloud.events import finished_runs, job_runs, newest_finished_run
from include.shop.checks import failed_check_message
from include.shop.local_warehouse import open_local_warehouse

DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
SHOP_JOB_ID = 65767
# https://YOUR_ACCESS_URL/deploy/16173/projects/36468/jobs/48640
FINANCE_JOB_ID = 48640
COMPARE = """
    create or replace table finance.revenue_compared as
    select ordered_on, store_id, shop.revenue as shop_revenue, finance.revenue as finance_revenue
    from analytics.daily_revenue as shop
    full join finance.daily_revenue as finance using (ordered_on, store_id)
"""
DIFFERENT = """
    select * from finance.revenue_compared
    where shop_revenue is distinct from finance_revenue order by ordered_on, store_id
"""


@dag(
    schedule=job_runs(SHOP_JOB_ID, DBT_CLOUD_CONN_ID) & job_runs(FINANCE_JOB_ID, DBT_CLOUD_CONN_ID),
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
        "on_failure_callback": notifications.notify_failure,
    },
    tags=["dbt Cloud", "assets"],
    doc_md=__doc__,
)
def wait_for_jobs_of_two_projects() -> None:
    @task
    def require_success(triggering_asset_events: Any = None) -> dict[str, list[str]]:
        newest = []
        for job_id in (SHOP_JOB_ID, FINANCE_JOB_ID):
            run = newest_finished_run(job_id, DBT_CLOUD_CONN_ID)
            if run is None:
                raise AirflowSkipException(f"Job {job_id} has no finished run: run it first.")
            if run.status != "success":
                raise AirflowFailException(
                    f"Run {run.run_id} of {run.job_name} ended with {run.status}: {run.url}"
                    " Run the job again, then clear this task."
                )
            newest.append(run.url)
        return {
            "started_by": [run.url for run in finished_runs(triggering_asset_events)],
            "newest": newest,
        }

    @task
    def compare_revenue() -> dict[str, Any]:
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            warehouse.execute(COMPARE)
            rows = warehouse.execute(DIFFERENT)
            columns = [column[0] for column in rows.description or []]
            if different := rows.fetchall():
                failed = failed_check_message("revenue is equal in both", columns, different)
                raise AirflowFailException(
                    f"{failed}\nRun both jobs on the same rows, then clear this task."
                )
            total = "select count(*), sum(shop_revenue)::double from finance.revenue_compared"
            compared = warehouse.execute(total).fetchall()[0]
        return {"days_and_stores": compared[0], "revenue": compared[1]}

    require_success() >> compare_revenue()


wait_for_jobs_of_two_projects()
