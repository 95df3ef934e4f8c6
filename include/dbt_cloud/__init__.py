"""dbt Cloud from Airflow, safely: one run per task, however often anything crashes.

Copy this folder together with a Dag that names it under **Copy with**; README.md beside this file
says which parts of it can be left out. It needs Airflow 3.3 or newer and the dbt Cloud provider,
and imports nothing else of this repository.
"""

from .airflow import needs  # noqa: F401 - first, since it says which Airflow the others need
from .run.operator import DbtCloudRunJobExactlyOnceOperator

__all__ = ["DbtCloudRunJobExactlyOnceOperator"]
