"""A run takes the commit or branch that it is asked for, and leaves the user's checkout alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.git_project import TWO, GitProject
from tests.running_dbt_cloud import RunningDbtCloud, prepare_data

CHANGED = TWO.replace("main", "branch")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> GitProject:
    return GitProject.made_in(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def server(
    session_folder: Path, project: GitProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningDbtCloud]:
    data = tmp_path_factory.mktemp("data")
    prepare_data(session_folder / "data", data)
    server = RunningDbtCloud(data, ("--dbt-project", str(project.dbt_project))).start()
    yield server
    server.end()


def built(server: RunningDbtCloud, run_id: int) -> str:
    """The SQL of the model ``two`` that the run has built."""
    results = server.request("GET", f"runs/{run_id}/artifacts/run_results.json").json()["results"]
    return str({one["unique_id"]: one for one in results}["model.small.two"]["compiled_code"])


@pytest.mark.parametrize("by", ["git_sha", "git_branch"])
def test_a_run_builds_the_commit_it_is_asked_for(
    server: RunningDbtCloud, project: GitProject, by: str
) -> None:
    sha = project.commit_on_branch(by, "models/two.sql", CHANGED)
    project.write("models/one.sql", "select 2 as id -- not committed\n")
    before = project.git("status", "--branch", "--porcelain"), project.git("stash", "list")

    overrides: dict[str, Any] = {by: sha if by == "git_sha" else by}
    run = server.wait(server.trigger(**overrides))

    assert run["is_success"], run["run_steps"][-1]["logs"]
    assert "'branch'" in built(server, run["id"])
    assert (run["git_sha"], run["git_branch"]) == (sha, None if by == "git_sha" else by)
    assert f"Checked out commit {sha}" in run["run_steps"][0]["logs"]
    after = project.git("status", "--branch", "--porcelain"), project.git("stash", "list")
    assert after == before
    project.git("checkout", "--quiet", ".")


def test_without_a_commit_a_run_takes_the_folder_as_it_is(
    server: RunningDbtCloud, project: GitProject
) -> None:
    project.write("models/two.sql", TWO.replace("main", "uncommitted"))
    run = server.wait(server.trigger())
    project.git("checkout", "--quiet", ".")

    assert "'uncommitted'" in built(server, run["id"])
    assert (run["git_sha"], run["git_branch"]) == (None, None)
    assert "as it is in the folder.\n" in run["run_steps"][0]["logs"]


def test_a_commit_that_is_not_there_ends_the_run_in_its_first_step(
    server: RunningDbtCloud,
) -> None:
    run = server.wait(server.trigger(git_sha="0" * 40))

    assert run["is_error"]
    [clone] = run["run_steps"]
    assert "has no commit 0000" in clone["logs"]


def test_an_environment_s_branch_is_built(server: RunningDbtCloud, project: GitProject) -> None:
    sha = project.commit_on_branch("staging", "models/two.sql", CHANGED)
    environment = {"name": "Staging", "use_custom_branch": True, "custom_branch": "staging"}
    place = {"account_id": server.account_id, "project_id": 36467}
    made = server.request("POST", "environments/", json=place | environment).json()["data"]
    job = {"name": "Staged", "execute_steps": ["dbt build"], "environment_id": made["id"]}
    job_id = server.request("POST", "jobs/", json=place | job).json()["data"]["id"]

    run = server.wait(server.trigger(job_id))

    assert (run["git_sha"], run["git_branch"]) == (sha, "staging")
