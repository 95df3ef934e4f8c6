"""What dbt Cloud's runs came to: in the log, as data, as a page with a chart, as files to keep."""

from .keeping import keep_runs, runs_not_kept
from .report import report_run

__all__ = ["keep_runs", "report_run", "runs_not_kept"]
