"""prefect-dbt: its flow that triggers a job and waits for the run."""

from __future__ import annotations

import asyncio

from prefect import flow
from prefect_dbt.cloud import DbtCloudCredentials
from prefect_dbt.cloud.jobs import trigger_dbt_cloud_job_run_and_wait_for_completion

from benchmarks.clients.measuring import ACCOUNT_ID, HOST, JOB_ID, POLL_SECONDS, TOKEN, measured

credentials = DbtCloudCredentials(api_key=TOKEN, account_id=ACCOUNT_ID, domain=HOST)


def start_server() -> None:
    """Start Prefect's own server, which is not measured."""


flow(start_server)()

with measured():
    run = trigger_dbt_cloud_job_run_and_wait_for_completion(
        credentials, JOB_ID, poll_frequency_seconds=POLL_SECONDS
    )
    asyncio.run(run)
