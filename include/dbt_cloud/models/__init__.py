"""A dbt Cloud job as a task group, with a task and an asset per model.

Needs the modules of the parent folder and Airflow 3.3 (as cloned, see docs/models.md).
"""

from .lineage import write_lineage
from .publishing import events_of
from .task_group import dbt_cloud_models

__all__ = ["dbt_cloud_models", "events_of", "write_lineage"]
