from __future__ import annotations

from pathlib import Path

import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud, free_port
from tests.bundled import ACCOUNT_ID, DAILY_BUILD


def test_no_two_servers_of_a_test_run_get_the_same_port() -> None:
    ports = [free_port() for _ in range(300)]

    assert len(set(ports)) == len(ports)


def test_request_takes_a_path_below_the_account_or_from_the_root(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    path = f"/api/v2/accounts/{ACCOUNT_ID}/jobs/{DAILY_BUILD}/"

    assert local_dbt_cloud.get(f"jobs/{DAILY_BUILD}/") == local_dbt_cloud.get(path)
    assert local_dbt_cloud.client.get(local_dbt_cloud.url + path).status_code == 401


def test_refused_call_raises_with_path_status_and_message(local_dbt_cloud: LocalDbtCloud) -> None:
    with pytest.raises(RuntimeError, match=r"GET /api/v2/.*/jobs/1/: 404 .*not found"):
        local_dbt_cloud.get("jobs/1/")
    with pytest.raises(RuntimeError, match=r"POST /api/v2/.*/jobs/1/run/: 404 .*not found"):
        local_dbt_cloud.trigger(1)


def test_wait_returns_the_run_with_its_steps(local_dbt_cloud: LocalDbtCloud) -> None:
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"]))

    assert run["is_success"]
    assert run["run_steps"][-1]["name"] == "Invoke dbt with `dbt deps`"


def test_wait_raises_for_another_end_and_after_its_timeout(local_dbt_cloud: LocalDbtCloud) -> None:
    run = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt run-operation no_such_macro"])
    with pytest.raises(RuntimeError, match=rf"Run {run} is still \w+ \([123]\) after 0 s"):
        local_dbt_cloud.wait(run, timeout=0)
    with pytest.raises(RuntimeError, match=rf"Run {run} ended: Error \(20\), dbt command failed"):
        local_dbt_cloud.wait(run, until={10})


def test_servers_of_a_session_share_their_authority(
    local_dbt_cloud: LocalDbtCloud, make_local_dbt_cloud: MakeLocalDbtCloud
) -> None:
    first, second = make_local_dbt_cloud(), make_local_dbt_cloud()

    for server in (first, second):
        address = f"{server.url}/health"
        assert local_dbt_cloud.client.get(address).json()["account_id"] == ACCOUNT_ID
    assert first.data != second.data


def test_failed_start_raises(tmp_path: Path) -> None:
    server = LocalDbtCloud(tmp_path, ("--jobs", tmp_path / "no_such.yaml"))

    with pytest.raises(RuntimeError, match="did not start: see its message on stderr"):
        server.start()
    assert server.process is None
