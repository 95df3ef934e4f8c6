"""A dbt Cloud job as a task group, with a task, and an asset, per model.

It needs the modules of the folder above and Airflow 3.3. docs/models.md tells how it is used.
"""

from .lineage import write_lineage
from .publishing import events_of
from .task_group import dbt_cloud_models

__all__ = ["dbt_cloud_models", "events_of", "write_lineage"]
