"""What a dbt Cloud run came to: in the log, as data, as a page with a chart, as files to keep."""

from .report import report_run

__all__ = ["report_run"]
