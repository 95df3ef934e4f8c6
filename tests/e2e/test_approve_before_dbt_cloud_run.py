"""Somebody is asked before what has changed is built, and just that is built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.git import git
from tests.e2e.project import Project
from tests.e2e.receiver import messages
from tests.e2e.variants import ASKING, ASKING_IN_VAIN
from tests.waiting import eventually
from tests.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-a")]

LIST, READ, APPROVE = "list_changes", "read_changes", "approve"
BUILD = "trigger_dbt_cloud_job_run"
JOB = 48622
MARTS = Path("include/jaffle_shop/models/marts")
NODES = ["daily_revenue", "daily_revenue_adds_up_to_revenue"]


@pytest.fixture(scope="module")
def branch(project: Project, main_commit: str) -> Iterator[None]:
    """List changes of the branch main, and restore production at the end."""
    path = "/api/v3/accounts/16173/projects/36467/environments/29119/"
    address = f"https://localhost:{project.dbt_cloud_port}{path}"
    before = project.dbt_cloud.get(address).raise_for_status().json()["data"]
    custom = before | {"use_custom_branch": True, "custom_branch": "main"}
    project.dbt_cloud.post(address, json=custom).raise_for_status()
    yield
    project.dbt_cloud.post(address, json=before).raise_for_status()
    git(project, "reset", "--quiet", "--hard", main_commit)
    build = {"cause": "as it was"}
    run = project.dbt_cloud.post("/jobs/65767/run/", json=build).raise_for_status().json()["data"]
    eventually(lambda: project.dbt_runs(pk=run["id"])[0]["is_success"], "production is built")


def commit(project: Project, model: str, end: str) -> str:
    """Commit the model with its last line replaced; return the commit."""
    file = project.root / MARTS / f"{model}.sql"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:-1], end, ""]))
    git(project, "commit", "--quiet", "--all", f"--message={model}")
    return git(project, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def changed(project: Project, branch: None) -> str:
    return commit(project, "daily_revenue", "select *, 1 as approved from final")


def builds(project: Project) -> list[int]:
    return [run["id"] for run in project.dbt_runs(job_definition_id=JOB)]


def asked(airflow: Airflow, run_id: str) -> dict[str, Any]:
    airflow.wait_for_task(ASKING, run_id, APPROVE, "awaiting_input")
    return airflow.question(ASKING, run_id, APPROVE)


def test_approval_is_skipped_when_nothing_has_changed(airflow: Airflow, branch: None) -> None:
    run_id, states = airflow.run(ASKING)

    assert [states[task] for task in (LIST, READ, APPROVE, BUILD)] == ["success"] + ["skipped"] * 3
    assert "nothing to build or to approve" in airflow.log(ASKING, run_id, READ)


def test_rejected_or_timed_out_approval_builds_nothing(
    airflow: Airflow, project: Project, changed: str, receiver: WebhookReceiver
) -> None:
    before = builds(project)
    in_vain, refused = airflow.trigger(ASKING_IN_VAIN), airflow.trigger(ASKING)
    question = asked(airflow, refused)
    airflow.answer(ASKING, refused, APPROVE, "Reject")

    assert question["subject"] == "Build 1 model, 1 test?"
    assert "| `daily_revenue` | model, table |" in question["body"]
    assert f"of commit `{changed}` of branch `main`" in question["body"]
    [message] = messages(receiver, refused, "task.waits")
    assert f"{refused}/tasks/approve/required_actions" in message["answer_url"]
    for dag_id, run_id in ((ASKING, refused), (ASKING_IN_VAIN, in_vain)):
        assert airflow.wait(dag_id, run_id) == "success"
        states = airflow.states(dag_id, run_id)
        assert (states[APPROVE], states[BUILD]) == ("success", "skipped")
    assert airflow.question(ASKING_IN_VAIN, in_vain, APPROVE)["responded_by_user"] is None
    assert builds(project) == before


def test_approved_commit_is_built_after_the_branch_has_changed(
    airflow: Airflow, project: Project, changed: str
) -> None:
    run_id = airflow.trigger(ASKING)
    asked(airflow, run_id)
    commit(project, "daily_revenue", "select *, 2 as approved from final")
    airflow.answer(ASKING, run_id, APPROVE, "Approve")
    assert airflow.wait(ASKING, run_id) == "success"

    [build] = project.dbt_runs(
        pk=airflow.xcom(ASKING, run_id, BUILD), job_definition_id=JOB, include_related="trigger"
    )
    assert build["git_sha"] == changed
    selectors = [f"'package:jaffle_shop,fqn:*.{node}'" for node in NODES]
    assert build["trigger"]["steps_override"] == [f"dbt build --select {' '.join(selectors)}"]
    approver = airflow.xcom(ASKING, run_id, APPROVE)["responded_by_user"]["name"]
    assert build["trigger"]["cause"].startswith(f"Approved by {approver}: {ASKING}, ")
    assert project.query("select distinct approved from analytics.daily_revenue") == [(1,)]
    answer = project.dbt_cloud.get(f"/runs/{build['id']}/artifacts/run_results.json").json()
    assert [node["unique_id"].split(".")[2] for node in answer["results"]] == NODES


def test_failed_list_changes_requests_no_approval(
    airflow: Airflow, project: Project, branch: None
) -> None:
    commit(project, "daily_revenue", "select * from {{ ref('no_such_model') }}")
    before = builds(project)
    run_id, states = airflow.run(ASKING)

    assert [states[task] for task in (LIST, READ)] == ["failed", "upstream_failed"]
    assert states[APPROVE] == states[BUILD] == "upstream_failed"
    assert "depends on a node named 'no_such_model'" in airflow.log(ASKING, run_id, LIST)
    assert builds(project) == before
