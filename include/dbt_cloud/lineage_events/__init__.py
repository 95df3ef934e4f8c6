"""OpenLineage events of dbt Cloud runs: the run of the job, and its nodes below it.

Nothing happens without a configured ``apache-airflow-providers-openlineage``.
"""

from .emission import emit_lineage

__all__ = ["emit_lineage"]
