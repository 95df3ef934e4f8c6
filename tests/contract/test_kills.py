"""The server is killed repeatedly, at any moment: it loses no run and leaves no process."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import time
from typing import Any

import psutil
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.contract.conftest import http_client
from tests.contract.slow_project import write_slow_project
from tests.contract.test_environment_variables import VARIABLES
from tests.contract.test_queue import cancel, children, is_dead
from tests.waiting import eventually

pytestmark = pytest.mark.slow

# The kill follows when the round's run has one of these statuses, or up to a second later.
MOMENTS = [{1, 2, 3, 10}, {2, 3, 10}, {3, 10}, {10}]
BUILD = "dbt build --select stg_orders stg_payments"
STOPPED = "was stopped while this run was active"
SECRET, VALUE = "DBT_ENV_SECRET_GIT", "hunter2"
PACKAGES = """\
packages:
  - git: "http://me:{{{{ env_var('{secret}') }}}}@127.0.0.1:{port}/package.git"
    revision: main
"""


def test_killed_server_keeps_finished_runs_and_ends_active_ones(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = write_slow_project(tmp_path_factory.mktemp("project"))
    server = make_local_dbt_cloud("--dbt-project", project)
    dice = random.Random(20260301)  # the same moments each time, as far as the machine allows
    created: list[int] = []
    for statuses in MOMENTS:
        created.append(server.trigger(DAILY_BUILD, steps_override=[BUILD]))
        if len(statuses) == 3:
            created.append(
                server.trigger(DAILY_BUILD, steps_override=[BUILD], github_pull_request_id=7)
            )
        server.wait(created[-1], until=statuses)
        time.sleep(dice.random())
        before = finished(server)
        server.end(signal.SIGKILL)
        server.start()
        after = finished(server)
        assert {run_id: after.get(run_id) for run_id in before} == before

    ended = [server.wait(run_id) for run_id in created]

    assert {run["status"] for run in ended} == {10, 20}
    assert all(STOPPED in run["status_message"] for run in ended if run["is_error"])
    assert {step["status"] for run in ended for step in run["run_steps"]} <= {10, 20}
    assert server.wait(server.trigger(DAILY_BUILD, steps_override=[BUILD]))["is_success"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_of_dbt_deps_is_killed_with_its_run_and_its_password_is_not_logged(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("project")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        packages = PACKAGES.format(secret=SECRET, port=silent.getsockname()[1])
        (folder / "packages.yml").write_text(packages)
        server = make_local_dbt_cloud("--dbt-project", write_slow_project(folder))
        with http_client(server) as api:
            value = {"name": SECRET, "type": "project", "raw_value": VALUE}
            assert api.post(VARIABLES, json=value).status_code == 201
        run_id = server.trigger(DAILY_BUILD)
        eventually(lambda: git_of(server), "git fetches")
        fetching = git_of(server)
        cancel(server, run_id)
        eventually(lambda: all(map(is_dead, fetching)), "git has ended")
        step = server.get(f"runs/{run_id}/", include_related="run_steps,debug_logs")["run_steps"][2]
        assert "git clone" in step["debug_logs"]
        assert VALUE not in str(step)

        server.trigger(DAILY_BUILD)
        eventually(lambda: git_of(server), "git fetches")
        family = children(server)
        server.end(signal.SIGKILL)
        eventually(lambda: all(map(is_dead, family)), "all processes have ended")


def git_of(server: LocalDbtCloud) -> list[psutil.Process]:
    family = children(server)
    return [process for process in family if not is_dead(process) and process.name() == "git"]


def finished(server: LocalDbtCloud) -> dict[int, Any]:
    """Return the finished runs, with their logs and artifacts."""
    runs = server.get("runs/", status__in="[10, 20]", include_related="run_steps,debug_logs")
    return {
        run["id"]: [
            *(run[name] for name in ("status", "status_message", "started_at", "finished_at")),
            run["run_steps"],
            server.get(f"runs/{run['id']}/artifacts/"),
        ]
        for run in runs
    }
