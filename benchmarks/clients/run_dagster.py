"""dagster-dbt: the calls with which ``@dbt_cloud_assets`` runs a command in an existing job."""

from __future__ import annotations

from dagster_dbt.cloud_v2.resources import DbtCloudCredentials, DbtCloudWorkspace
from dagster_dbt.cloud_v2.run_handler import DbtCloudJobRunHandler

from benchmarks.clients.measuring import ACCOUNT_ID, HOST, JOB_ID, TOKEN, measured

credentials = DbtCloudCredentials(account_id=ACCOUNT_ID, token=TOKEN, access_url=f"https://{HOST}")
workspace = DbtCloudWorkspace(credentials=credentials, project_id=1, environment_id=1)

with measured():
    handler = DbtCloudJobRunHandler.run(JOB_ID, ["build"], workspace.get_client())
    handler.wait().raise_for_status()
