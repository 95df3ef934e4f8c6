"""Run dbt Cloud jobs from Airflow: one run per task, despite crashes.

Copy this folder with a Dag that lists it under **Copy with**. README.md in this folder lists the
optional parts. The folder needs Airflow 3.3 or newer and the dbt Cloud provider, and imports
nothing else of this repository.
"""

from .airflow import needs  # noqa: F401 - first, since it checks the versions
from .run.operator import DbtCloudRunJobExactlyOnceOperator

__all__ = ["DbtCloudRunJobExactlyOnceOperator"]
