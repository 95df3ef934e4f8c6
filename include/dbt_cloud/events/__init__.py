"""Finished runs of dbt Cloud as asset events, whoever started them."""

from .assets import account_runs, job_runs
from .finished_run import FinishedRun

__all__ = ["FinishedRun", "account_runs", "job_runs"]
