"""The same events for the provider's own operator, by a setting of Airflow.

``AIRFLOW__OPENLINEAGE__EXTRACTORS=include.dbt_cloud.lineage_events.extractor.DbtCloudRunExtractor``
"""

from __future__ import annotations

from typing import Any

from airflow.providers.openlineage.extractors import BaseExtractor

from .emission import emit_for_task


class DbtCloudRunExtractor(BaseExtractor):
    """Emits the run of a ``DbtCloudRunJobOperator`` instead of the provider, also if it failed."""

    @classmethod
    def get_operator_classnames(cls) -> list[str]:
        return ["DbtCloudRunJobOperator"]

    def _execute_extraction(self) -> Any:
        """Return nothing at the start of a task, when the run does not exist yet."""
        return emit_for_task(self.operator, None, [])

    def extract_on_complete(self, task_instance: Any) -> Any:
        operator = self.operator
        has_ended = operator.run_id and operator.wait_for_termination
        return emit_for_task(operator, task_instance, [operator.run_id] if has_ended else [])
