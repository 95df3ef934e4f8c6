"""Tests of the context of a run, as dbt sees it."""

from __future__ import annotations

from typing import Any

import pytest

from include.local_dbt_cloud.runs.cloud_variables import invocation_context
from include.local_dbt_cloud.storage.schemas import Environment
from include.local_dbt_cloud.storage.tables import RunRow


@pytest.mark.parametrize(
    ("environment", "trigger", "context"),
    [
        ({}, {}, "prod"),
        ({"deployment_type": "production"}, {}, "prod"),
        ({"deployment_type": "staging"}, {}, "staging"),
        ({"type": "development"}, {}, "dev"),
        ({"deployment_type": "staging"}, {"github_pull_request_id": 7}, "ci"),
    ],
)
def test_invocation_context_is_that_of_environment_and_pull_request(
    environment: dict[str, Any], trigger: dict[str, Any], context: str
) -> None:
    run = RunRow(trigger={"cause": "A test", **trigger})
    found = Environment.model_validate({"id": 1, "project_id": 2, "name": "x", **environment})

    assert invocation_context(run, found) == context


@pytest.mark.parametrize(
    ("run", "category"),
    [
        ({"trigger": {}}, "api"),
        ({"trigger": {}, "retrying_run_id": 3}, "rerun"),
        ({"trigger": {"cause_category": "scheduled"}}, "scheduled"),
    ],
)
def test_cause_category_is_what_started_the_run(run: dict[str, Any], category: str) -> None:
    assert RunRow(**run).cause_category == category
