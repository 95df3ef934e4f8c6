"""Airflow: one task with the provider's operator, or with ours, and two retries.

``python -m benchmarks.clients.run_airflow provider|exactly_once``
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import DAG

from benchmarks.clients.measuring import JOB_ID, POLL_SECONDS, measured

RETRIES, RETRY_SECONDS = 2, 5
errors: list[str] = []


def keep_error(context: Any) -> None:
    errors.append(f"{type(context['exception']).__name__}: {context['exception']}")


def operator(kind: str) -> type[DbtCloudRunJobOperator]:
    if kind == "provider":
        return DbtCloudRunJobOperator
    from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator

    return DbtCloudRunJobExactlyOnceOperator


with DAG("clients", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as dag:
    operator(sys.argv[1])(
        task_id="run_job",
        job_id=JOB_ID,
        check_interval=POLL_SECONDS,
        retries=RETRIES,
        retry_delay=timedelta(seconds=RETRY_SECONDS),
        on_failure_callback=keep_error,
    )

if __name__ == "__main__":  # Airflow imports this file again as a Dag file
    with measured():
        if dag.test().state != "success":
            sys.exit(errors[-1] if errors else "the Dag run failed")
