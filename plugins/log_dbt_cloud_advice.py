"""Logs what to do when dbt Cloud refuses a task's call, as the last line of the task's log.

It works for every operator of a Dag, the provider's included.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


class AdviceListener:
    """Airflow calls it in the process that ran the task."""

    @hookimpl
    def on_task_instance_failed(
        self, previous_state: Any, task_instance: Any, error: str | BaseException | None
    ) -> None:
        from include.dbt_cloud.api.advice import advice

        if sentence := advice(error):
            log.error(sentence)


class LogDbtCloudAdvice(AirflowPlugin):
    name = "log_dbt_cloud_advice"
    listeners = [AdviceListener()]  # noqa: RUF012 - Airflow declares it so
