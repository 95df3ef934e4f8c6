"""Asset events of finished dbt Cloud runs, started by Airflow or not."""

from .assets import account_runs, job_runs
from .finished_run import FinishedRun
from .triggering_runs import finished_runs, newest_finished_run

__all__ = ["FinishedRun", "account_runs", "finished_runs", "job_runs", "newest_finished_run"]
