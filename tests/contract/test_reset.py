"""A new beginning between two tests, on one server."""

from __future__ import annotations

from typing import Any

import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD

SLOW = 'dbt show --inline "select count(*) from range(100000000000)"'
HOOK = {
    "name": "all",
    "client_url": "http://127.0.0.1:9/",
    "event_types": ["job.run.completed"],
    "active": True,
}


@pytest.fixture
def server(make_local_dbt_cloud: MakeLocalDbtCloud) -> LocalDbtCloud:
    return make_local_dbt_cloud("--fault", "503 GET */steps/*")


def v3(server: LocalDbtCloud, method: str, path: str, **options: Any) -> Any:
    response = server.request(method, f"/api/v3/accounts/{server.account_id}/{path}", **options)
    assert response.is_success, response.text
    return response.json()["data"]


def test_reset_leaves_what_jobs_file_and_command_line_define(server: LocalDbtCloud) -> None:
    jobs = server.get("jobs/")
    started = server.trigger(DAILY_BUILD, steps_override=["dbt deps"])
    server.wait(started)
    job = server.get(f"jobs/{DAILY_BUILD}/")
    server.request("POST", f"jobs/{DAILY_BUILD}/", json=job | {"name": "Changed"})
    server.request("POST", "jobs/", json=job | {"name": "Made"})
    server.request("DELETE", f"jobs/{jobs[-1]['id']}/")
    v3(server, "POST", "webhooks/subscriptions", json=HOOK)
    variable = {"env_var": {"new_name": "DBT_SHOP", "project": "1"}}
    v3(server, "POST", "projects/36467/environment-variables/bulk/", json=variable)
    assert server.request("GET", "steps/1/").status_code == 503

    fault = {"kind": "500", "times": 100}
    server.request("POST", "/faults", json=fault)
    assert server.request("GET", "jobs/").status_code == 500

    server.reset()

    assert {one["id"]: one["name"] for one in server.get("jobs/")} == {
        one["id"]: one["name"] for one in jobs
    }
    assert server.get("runs/") == v3(server, "GET", "webhooks/subscriptions") == []
    table = v3(server, "GET", "projects/36467/environment-variables/environment/")
    assert table["variables"] == {}
    assert server.request("GET", "steps/1/").status_code == 503
    assert server.trigger(DAILY_BUILD, steps_override=["dbt deps"]) > started


def test_reset_ends_active_and_queued_runs(server: LocalDbtCloud) -> None:
    active = server.trigger(DAILY_BUILD, steps_override=[SLOW])
    queued = server.trigger(DAILY_BUILD)
    server.wait(active, until={3})

    server.reset()

    assert server.get("runs/") == []
    for run_id in (active, queued):
        assert server.request("GET", f"runs/{run_id}/").status_code == 404
    assert server.wait(server.trigger(DAILY_BUILD, steps_override=["dbt deps"]))["is_success"]
