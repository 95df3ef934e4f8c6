"""The link from a task to the page of its dbt Cloud run."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import BaseOperator, BaseOperatorLink
from sqlalchemy import select

from ..airflow.compat import conf
from ..airflow.server import XComModel, create_session
from ..run.operator import DbtCloudRunJobExactlyOnceOperator
from ..run.triggered import DbtCloudFollowTriggeredRunOperator
from .started_by import URL, url_in


class RunTimelineLink(BaseOperatorLink):
    """Opens the page of the dbt Cloud run that a task started or followed.

    Airflow compares a task's class with ``operators``, and subclasses do not count.

    Args:
        page_path: The page's path in Airflow's UI, without a slash at either end.
        more: More classes of operators whose tasks have the link.
    """

    name = "Run timeline"
    operators = [  # noqa: RUF012 - as in Airflow
        DbtCloudRunJobOperator,
        DbtCloudRunJobExactlyOnceOperator,
        DbtCloudFollowTriggeredRunOperator,
    ]

    def __init__(self, page_path: str, *more: type[BaseOperator]) -> None:
        self.page_path = page_path
        # Airflow declares a class variable, and reads it from the instance.
        self.operators = [*type(self).operators, *more]  # type: ignore[misc]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL; empty as long as the task has no run."""
        where = {"key": URL, "dag_id": ti_key.dag_id, "run_id": ti_key.run_id}
        task = {"task_id": ti_key.task_id, "map_index": ti_key.map_index}
        with create_session() as session:
            xcom = session.scalar(select(XComModel.value).filter_by(**where, **task))
        if not xcom:
            return ""
        base = str(conf.get("api", "base_url", fallback="/")).rstrip("/")
        query = urlencode({"run_url": url_in(xcom)})
        return f"{base}/{self.page_path}/runs?{query}"
