"""The link "Run timeline": on which tasks Airflow's UI shows it."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest
from airflow import plugins_manager
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from include.dbt_cloud.freshness import WaitForFreshSourcesOperator
from include.dbt_cloud.pull_requests import DbtCloudCheckPullRequestOperator
from include.dbt_cloud.run.operator import DbtCloudRunJobExactlyOnceOperator
from plugins.show_dbt_cloud import ShowDbtCloud


class OwnOperator(DbtCloudRunJobExactlyOnceOperator):
    """A subclass that the plugin does not name."""


@pytest.mark.parametrize(
    ("operator", "has_link"),
    [
        (DbtCloudRunJobExactlyOnceOperator, True),
        (DbtCloudCheckPullRequestOperator, True),
        (WaitForFreshSourcesOperator, True),
        (OwnOperator, False),
    ],
)
def test_ui_shows_the_link_on_the_tasks_of_named_operators(
    monkeypatch: pytest.MonkeyPatch, operator: Any, has_link: bool
) -> None:
    links = ShowDbtCloud().operator_extra_links
    monkeypatch.setattr(plugins_manager, "get_operator_extra_links", lambda: links)
    with DAG("some", start_date=pendulum.datetime(2026, 11, 1), schedule=None) as dag:
        operator(task_id="run", job_id=1)

    shown = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("run").extra_links

    assert ("Run timeline" in shown) is has_link
