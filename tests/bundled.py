"""This repository's folder, and the account and the jobs of its ``jobs.yaml``."""

from __future__ import annotations

from pathlib import Path

from include.local_dbt_cloud.serving.connections import DBT_CLOUD

PROJECT = Path(__file__).parents[1]
JOBS_FILE = PROJECT / "include" / "local_dbt_cloud" / "jobs.yaml"
DBT_PYTHON = PROJECT / "dbt_venv" / "bin" / "python"
TOKEN = DBT_CLOUD.password
ACCOUNT_ID = int(DBT_CLOUD.login)
DAILY_BUILD, BUILD_AFTER_LOAD, PULL_REQUEST_CHECK = 65767, 30605, 48621
