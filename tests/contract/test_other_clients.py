"""Requests as other clients send them: Dagster, dbt's MCP server, dbtc, dlt, Prefect, a Singer tap.

The clients themselves run in ``python -m benchmarks clients``.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, BUILD_AFTER_LOAD, DAILY_BUILD

ACCOUNT = f"v2/accounts/{ACCOUNT_ID}"
PLACE = {"project_id": 36467, "environment_id": 29118}
DAGSTER_AD_HOC = {
    "account_id": ACCOUNT_ID,
    **PLACE,
    "name": "DAGSTER_ADHOC_JOB__36467__29118",
    "description": "This job is used by Dagster to parse your dbt Cloud workspace.",
    "job_type": "other",
}
PREFECT_DOCUMENTED = {
    "id": None,
    "account_id": ACCOUNT_ID,
    **PLACE,
    "name": "Nightly run",
    "dbt_version": None,
    "triggers": {"github_webhook": True, "schedule": True},
    "execute_steps": ["dbt run", "dbt test", "dbt source snapshot-freshness"],
    "settings": {"threads": 4, "target_name": "prod"},
    "state": 1,
    "schedule": {
        "date": {"type": "every_day"},
        "time": {"type": "every_hour", "interval": 1},
    },
}
PREFECT_EPHEMERAL = {
    **PLACE,
    "name": "prefect-orchestrator-build-wave",
    "execute_steps": ["dbt ls"],
}


@pytest.fixture(scope="module")
def run(local_dbt_cloud: LocalDbtCloud) -> dict[str, Any]:
    """Return a finished run whose only command has the spaces of Prefect's retries."""
    command = "dbt ls  -s stg_orders stg_stores "
    return local_dbt_cloud.wait(local_dbt_cloud.trigger(BUILD_AFTER_LOAD, steps_override=[command]))


@pytest.mark.parametrize("body", [DAGSTER_AD_HOC, PREFECT_DOCUMENTED, PREFECT_EPHEMERAL])
def test_clients_create_and_delete_their_own_jobs(api: httpx.Client, body: dict[str, Any]) -> None:
    made = api.post(f"{ACCOUNT}/jobs/", json=body)
    assert made.status_code == 201, made.text
    job = made.json()["data"]
    assert job["execute_steps"] == body.get("execute_steps", [])
    assert api.delete(f"{ACCOUNT}/jobs/{job['id']}").json()["data"]["state"] == 2


def test_older_name_of_source_freshness_runs(local_dbt_cloud: LocalDbtCloud) -> None:
    run_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt source snapshot-freshness"])
    step = local_dbt_cloud.wait(run_id)["run_steps"][3]
    assert step["name"] == "Invoke dbt with `dbt source snapshot-freshness`"
    assert "Finished running 6 sources" in step["logs"]


def test_dagster_lists_the_runs_that_finished_in_a_window(
    api: httpx.Client, run: dict[str, Any]
) -> None:
    finished = datetime.fromisoformat(run["finished_at"])
    moments = [(finished + timedelta(seconds=seconds)).isoformat() for seconds in (-1, 1)]
    found = api.get(
        f"{ACCOUNT}/runs",
        params={
            "account_id": ACCOUNT_ID,
            **PLACE,
            "limit": 100,
            "offset": 0,
            "finished_at__range": f'["{moments[0]}", "{moments[1]}"]',
            "order_by": "finished_at",
        },
    ).json()
    assert run["id"] in [one["id"] for one in found["data"]]
    assert found["extra"]["pagination"]["total_count"] == len(found["data"])


def test_dagster_finds_no_active_run_of_an_idle_job(api: httpx.Client, run: dict[str, Any]) -> None:
    params: dict[str, Any] = {
        **PLACE,
        "job_definition_id": run["job_id"],
        "status__in": "[1,2,3]",
        "limit": 1,
    }
    assert api.get(f"{ACCOUNT}/runs", params=params).json()["data"] == []


def test_mcp_server_lists_projects_with_environments(api: httpx.Client) -> None:
    params: dict[str, Any] = {
        "state": 1,
        "limit": 50,
        "offset": 0,
        "include_related": "['environments','repository']",
    }
    projects = api.get(f"v3/accounts/{ACCOUNT_ID}/projects/", params=params).json()["data"]
    assert "Production" in [one["name"] for one in projects[0]["environments"]]


def test_singer_tap_lists_runs_in_pages_larger_than_the_limit(
    api: httpx.Client, run: dict[str, Any]
) -> None:
    moments = [run["created_at"], datetime.max.isoformat()]
    params: dict[str, Any] = {
        "limit": 5000,
        "order_by": "finished_at",
        "finished_at__range": json.dumps(moments),
    }
    found = api.get(f"{ACCOUNT}/runs", params=params).json()
    assert run["id"] in [one["id"] for one in found["data"]]
    assert found["extra"]["filters"]["limit"] == 100


def test_trigger_without_a_cause_is_refused(api: httpx.Client) -> None:
    """Prefect's executor for single nodes sends ``{}``; dbt Cloud requires the cause too."""
    refused = api.post(f"{ACCOUNT}/jobs/{BUILD_AFTER_LOAD}/run/", json={})
    assert refused.status_code == 400
    assert refused.json()["data"] == {"cause": "required key not provided"}


def test_run_without_artifacts_has_null_instead_of_a_list(
    api: httpx.Client, local_dbt_cloud: LocalDbtCloud
) -> None:
    """dbt's own MCP server expects this; Dagster's sensor fails on it, as with dbt Cloud."""
    run_id = local_dbt_cloud.trigger(BUILD_AFTER_LOAD)
    api.post(f"{ACCOUNT}/runs/{run_id}/cancel/")
    assert api.get(f"{ACCOUNT}/runs/{run_id}/artifacts").json()["data"] is None
