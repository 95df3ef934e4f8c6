"""Finished runs of dbt Cloud as asset events, whoever started them."""

from .assets import account_runs, job_runs
from .finished_run import FinishedRun
from .triggering import finished_runs, newest_finished_run

__all__ = ["FinishedRun", "account_runs", "finished_runs", "job_runs", "newest_finished_run"]
