"""dbtc: trigger a job, and poll until it is complete."""

from __future__ import annotations

import sys

from dbtc import dbtCloudClient

from benchmarks.clients.measuring import (
    ACCOUNT_ID,
    HOST,
    JOB_ID,
    POLL_SECONDS,
    SUCCESS,
    TOKEN,
    measured,
)

client = dbtCloudClient(service_token=TOKEN, host=HOST)

with measured():
    run = client.cloud.trigger_job(
        ACCOUNT_ID, JOB_ID, {"cause": "benchmark"}, poll_interval=POLL_SECONDS
    )
    if not run["data"] or run["data"]["status"] != SUCCESS:
        sys.exit(run["status"]["user_message"])
