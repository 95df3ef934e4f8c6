"""A dbt Cloud job's models, for Airflow to show.

It needs the modules of the folder above and Airflow 3.3.
"""

from .lineage import write_lineage

__all__ = ["write_lineage"]
