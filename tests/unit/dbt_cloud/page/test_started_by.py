"""A run's cause leads to the Dag run only if its key proves it."""

from __future__ import annotations

import pytest

from include.dbt_cloud.idempotency_key import IdempotencyKey
from include.dbt_cloud.page.started_by import DagRun

DAG, TASK, RUN = "sales.daily", "build.run_job", "manual__2026-11-25T10:00:00+00:00"


def cause(reason: str, dag_id: str = DAG) -> str:
    key = IdempotencyKey(IdempotencyKey.token_of(dag_id, RUN, TASK), generation=0)
    return key.cause(reason)


@pytest.mark.parametrize("what", ["Airflow", "Airflow finishes run 12"])
def test_the_key_tells_which_dot_ends_the_dag_s_id(what: str) -> None:
    found = DagRun.in_cause(cause(f"{what}: {DAG}.{TASK}, {RUN}"))

    assert found == DagRun(DAG, RUN)
    assert found.path == "dags/sales.daily/runs/manual__2026-11-25T10%3A00%3A00%2B00%3A00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Scheduled",
        f"Airflow: {DAG}.{TASK}, {RUN}",
        f"Airflow: {DAG}.{TASK}, {RUN} [airflow:0123456789abcdef/0]",
        cause(f"Airflow: other.{TASK}, {RUN}"),
    ],
)
def test_other_causes_lead_nowhere(text: str) -> None:
    assert DagRun.in_cause(text) is None


def test_no_id_leads_out_of_its_place() -> None:
    assert DagRun("../../logout", "a/b?c").path == "dags/..%2F..%2Flogout/runs/a%2Fb%3Fc"
