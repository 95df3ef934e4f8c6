"""Log advice as the last line of a task's log, if dbt Cloud refused its call.

This works for every operator, including the provider's.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


class AdviceListener:
    """A listener that Airflow calls in the process that ran the task."""

    @hookimpl
    def on_task_instance_failed(
        self, previous_state: Any, task_instance: Any, error: str | BaseException | None
    ) -> None:
        from include.dbt_cloud.api.advice import advice

        if sentence := advice(error):
            log.error(sentence)


class LogDbtCloudAdvice(AirflowPlugin):
    name = "log_dbt_cloud_advice"
    listeners = [AdviceListener()]  # noqa: RUF012 - as in Airflow
