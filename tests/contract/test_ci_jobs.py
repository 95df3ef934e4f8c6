"""Runs for CI: they build the requested commit, and defer to production."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD, PROJECT, PULL_REQUEST_CHECK
from tests.contract.git_project import TWO, GitProject

pytestmark = pytest.mark.slow

MACRO = PROJECT / "include" / "jaffle_shop" / "macros" / "drop_pull_request_schema.sql"
CHANGED = TWO.replace("main", "branch")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> GitProject:
    return GitProject.made_in(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def server(
    local_dbt_cloud_factory: MakeLocalDbtCloud, project: GitProject
) -> Iterator[LocalDbtCloud]:
    with local_dbt_cloud_factory("--dbt-project", project.dbt_project) as server:
        yield server


def results(server: LocalDbtCloud, run_id: int) -> dict[str, dict[str, Any]]:
    """Return model → its result in the run's last step."""
    response = server.request("GET", f"runs/{run_id}/artifacts/run_results.json").json()
    return {result["unique_id"].split(".")[2]: result for result in response["results"]}


def built(server: LocalDbtCloud, run_id: int) -> str:
    """Return the SQL of the model ``two`` that the run has built."""
    return str(results(server, run_id)["two"]["compiled_code"])


@pytest.mark.parametrize("by", ["git_sha", "git_branch"])
def test_run_builds_the_requested_commit_or_branch(
    server: LocalDbtCloud, project: GitProject, by: str
) -> None:
    sha = project.commit_on_branch(by, "models/two.sql", CHANGED)
    project.write("models/one.sql", "select 2 as id -- not committed\n")
    before = project.git("status", "--branch", "--porcelain"), project.git("stash", "list")

    overrides: dict[str, Any] = {by: sha if by == "git_sha" else by}
    run = server.wait(server.trigger(DAILY_BUILD, **overrides))

    assert run["is_success"], run["run_steps"][-1]["logs"]
    assert "'branch'" in built(server, run["id"])
    assert (run["git_sha"], run["git_branch"]) == (sha, None if by == "git_sha" else by)
    assert f"Checked out commit {sha}" in run["run_steps"][0]["logs"]
    after = project.git("status", "--branch", "--porcelain"), project.git("stash", "list")
    assert after == before
    project.git("checkout", "--quiet", ".")


def test_run_without_a_commit_builds_uncommitted_changes(
    server: LocalDbtCloud, project: GitProject
) -> None:
    project.write("models/two.sql", TWO.replace("main", "uncommitted"))
    run = server.wait(server.trigger(DAILY_BUILD))
    project.git("checkout", "--quiet", ".")

    assert "'uncommitted'" in built(server, run["id"])
    assert (run["git_sha"], run["git_branch"]) == (None, None)
    assert "as it is in the folder.\n" in run["run_steps"][0]["logs"]


def test_run_of_an_unknown_commit_fails_in_its_first_step(
    server: LocalDbtCloud,
) -> None:
    run = server.wait(server.trigger(DAILY_BUILD, git_sha="0" * 40))

    assert run["is_error"]
    [clone] = run["run_steps"]
    assert "has no commit 0000" in clone["logs"]


def test_run_builds_the_custom_branch_of_its_environment(
    server: LocalDbtCloud, project: GitProject
) -> None:
    sha = project.commit_on_branch("staging", "models/two.sql", CHANGED)
    environment = {"name": "Staging", "use_custom_branch": True, "custom_branch": "staging"}
    place = {"account_id": server.account_id, "project_id": 36467}
    made = server.request("POST", "environments/", json=place | environment).json()["data"]
    job = {"name": "Staged", "execute_steps": ["dbt build"], "environment_id": made["id"]}
    job_id = server.request("POST", "jobs/", json=place | job).json()["data"]["id"]

    run = server.wait(server.trigger(job_id))

    assert (run["git_sha"], run["git_branch"]) == (sha, "staging")


@pytest.fixture(scope="module")
def production(server: LocalDbtCloud, project: GitProject) -> int:
    """Return a run that has built all models from main."""
    return int(server.wait(server.trigger(DAILY_BUILD, git_branch="main"), until={10})["id"])


def test_deferring_job_builds_modified_models_and_reads_the_rest_from_production(
    server: LocalDbtCloud, project: GitProject, production: int
) -> None:
    sha = project.commit_on_branch("feature", "models/two.sql", CHANGED)
    commit: dict[str, Any] = {"git_sha": sha, "github_pull_request_id": 7}
    # Production's models take precedence over the pull request's own older copies.
    server.wait(server.trigger(PULL_REQUEST_CHECK, steps_override=["dbt build"], **commit), {10})

    run = server.wait(server.trigger(PULL_REQUEST_CHECK, **commit))

    assert run["is_success"], run["run_steps"][-1]["logs"]
    assert list(results(server, run["id"])) == ["two"]
    assert '"analytics"."one"' in built(server, run["id"])
    assert f"dbt_cloud_pr_{PULL_REQUEST_CHECK}_7.two" in run["run_steps"][-1]["logs"]
    assert run["deferring_run_id"] == production
    assert f"Defers to run {production} of job {DAILY_BUILD}" in run["run_steps"][1]["logs"]
    deferring = server.get("runs/", deferring_run_id=production)
    assert run["id"] in {one["id"] for one in deferring}


def test_deferring_job_builds_nothing_when_nothing_is_modified(
    server: LocalDbtCloud, production: int
) -> None:
    run = server.wait(server.trigger(PULL_REQUEST_CHECK, git_branch="main"))

    assert run["is_success"], run["run_steps"][-1]["logs"]
    assert results(server, run["id"]) == {}


def test_deferring_job_runs_every_dbt_command(server: LocalDbtCloud, production: int) -> None:
    steps = ["dbt parse", "dbt ls --select state:modified+", "dbt compile", "dbt test", "dbt seed"]
    steps += ["dbt show --select one", "dbt clone --select one", "dbt snapshot"]
    steps += ["dbt build --no-defer", "dbt source freshness", "dbt retry"]
    run_id = server.trigger(
        PULL_REQUEST_CHECK, git_branch="main", steps_override=steps, generate_docs_override=True
    )

    run = server.wait(run_id)

    assert {step["name"]: step["status"] for step in run["run_steps"]} == {
        step["name"]: 10 for step in run["run_steps"]
    }, run["run_steps"][-1]["logs"]
    assert len(run["run_steps"]) == 3 + len(steps) + 1


def test_retry_of_a_deferring_run_also_defers(
    server: LocalDbtCloud, project: GitProject, production: int
) -> None:
    project.write("models/two.sql", "select * from {{ ref('one') }}, no_such_table\n")
    failed = server.wait(server.trigger(PULL_REQUEST_CHECK), until={20})
    project.write("models/two.sql", CHANGED)

    retry = server.request("POST", f"runs/{failed['id']}/retry/").json()["data"]
    resumed = server.wait(retry["id"])
    project.git("checkout", "--quiet", ".")

    assert resumed["is_success"], resumed["run_steps"][-1]["logs"]
    assert '"analytics"."one"' in built(server, resumed["id"])
    assert resumed["deferring_run_id"] == production


def test_drop_pull_request_schema_also_drops_custom_schemas(
    server: LocalDbtCloud, project: GitProject, production: int
) -> None:
    project.write("macros/drop.sql", MACRO.read_text())
    three = "{{ config(schema='marketing') }} select 3 as id"
    sha = project.commit_on_branch("custom", "models/three.sql", three)
    steps = ["dbt build", "dbt run-operation drop_pull_request_schema"]
    run_id = server.trigger(
        PULL_REQUEST_CHECK, git_sha=sha, github_pull_request_id=12, steps_override=steps
    )

    run = server.wait(run_id, until={10})

    schema = f"dbt_cloud_pr_{PULL_REQUEST_CHECK}_12"
    *_, build, _drop = run["run_steps"]
    assert f"{schema}.two" in build["logs"]
    assert f"{schema}_marketing.three" in build["logs"]
    with duckdb.connect(str(server.data / "warehouse.duckdb"), read_only=True) as warehouse:
        left = warehouse.execute("select schema_name from information_schema.schemata").fetchall()
    assert ("analytics",) in left
    assert not [name for (name,) in left if name.startswith(schema)]


def test_deferring_run_without_a_manifest_fails_and_suggests_dbt_parse(
    server: LocalDbtCloud,
) -> None:
    place = {"account_id": server.account_id, "project_id": 36467, "environment_id": 29119}
    own = {"name": "Never run", "execute_steps": ["dbt build"]}
    defers = {**place, **own, "deferring_environment_id": 29119}
    job_id = server.request("POST", "jobs/", json=defers).json()["data"]["id"]

    run = server.wait(server.trigger(job_id))

    assert run["is_error"]
    assert run["run_steps"][-1]["index"] == 2
    assert "defers to environment 29119, but no run there" in run["run_steps"][-1]["logs"]
    assert "dbt parse" in run["run_steps"][-1]["logs"]
