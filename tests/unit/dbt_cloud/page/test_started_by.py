"""Tests of the Dag run in a run's cause, which requires a valid key."""

from __future__ import annotations

from typing import Any

import pytest

from include.dbt_cloud.page.started_by import DagRun, starter_of
from include.dbt_cloud.run.idempotency_key import IdempotencyKey

DAG, TASK, RUN = "sales.daily", "build.run_job", "manual__2026-11-25T10:00:00+00:00"


def cause(reason: str, dag_id: str = DAG) -> str:
    key = IdempotencyKey(IdempotencyKey.token_of(dag_id, RUN, TASK))
    return key.cause(reason)


@pytest.mark.parametrize("what", ["Airflow", "Airflow finishes run 12"])
def test_dag_run_in_cause_splits_dotted_ids_by_the_key(what: str) -> None:
    found = DagRun.in_cause(cause(f"{what}: {DAG}.{TASK}, {RUN}"))

    assert found == DagRun(DAG, RUN)
    assert found.path == "dags/sales.daily/runs/manual__2026-11-25T10%3A00%3A00%2B00%3A00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Scheduled",
        f"Airflow: {DAG}.{TASK}, {RUN}",
        f"Airflow: {DAG}.{TASK}, {RUN} [airflow:0123456789abcdef]",
        cause(f"Airflow: other.{TASK}, {RUN}"),
    ],
)
def test_dag_run_in_cause_returns_none_without_a_matching_key(text: str) -> None:
    assert DagRun.in_cause(text) is None


def test_dag_run_path_quotes_its_ids() -> None:
    assert DagRun("../../logout", "a/b?c").path == "dags/..%2F..%2Flogout/runs/a%2Fb%3Fc"


@pytest.mark.parametrize(
    ("trigger", "starter"),
    [
        ({}, ""),
        ({"cause": None, "cause_category": None}, ""),
        ({"cause": "scheduled", "cause_category": "scheduled"}, "Schedule"),
        ({"cause": "Scheduled"}, "Schedule"),  # stored without category
        ({"cause": "Kicked off from UI by ada@example.com"}, "ada@example.com"),
        ({"cause": "Kicked off from the UI by ada", "cause_category": "other"}, "ada"),
        ({"cause": "Run 1 ended", "cause_category": "job completion"}, "Another job's run"),
        ({"cause": "PR 12", "cause_category": "github_pull_request"}, "Pull request"),
        ({"cause": "again", "cause_category": "rerun"}, "Retry"),
        ({"cause": "a deployment", "cause_category": "api"}, "a deployment"),
        ({"cause": cause("Airflow: x.y, z"), "cause_category": "api"}, "Airflow: x.y, z"),
        ({"cause": 7, "cause_category": []}, "7"),
    ],
)
def test_starter_is_a_person_or_what_dbt_cloud_does_by_itself(
    trigger: dict[str, Any], starter: str
) -> None:
    assert starter_of(trigger) == starter
