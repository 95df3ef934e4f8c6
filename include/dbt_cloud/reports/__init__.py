"""Report and store the results of dbt Cloud runs: log, data, a page with a chart, and files."""

from .keeping import keep_runs, runs_not_kept
from .report import report_run

__all__ = ["keep_runs", "report_run", "runs_not_kept"]
