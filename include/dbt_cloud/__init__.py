"""dbt Cloud from Airflow, safely: one run per task, however often anything crashes.

Copy this folder together with a Dag that names it under **Copy with**. It needs Airflow 3.3 or
newer and the dbt Cloud provider, and imports nothing else of this repository.
"""

from .operator import DbtCloudRunJobExactlyOnceOperator

__all__ = ["DbtCloudRunJobExactlyOnceOperator"]
