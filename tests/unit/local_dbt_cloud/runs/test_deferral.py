"""The run that a job defers to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from include.local_dbt_cloud.runs.deferral import (
    DeferralError,
    environment_to_defer,
    find_deferred_run,
)
from include.local_dbt_cloud.runs.run_folder import RunFolder
from include.local_dbt_cloud.storage.runs import create_run
from include.local_dbt_cloud.storage.schemas import Job, RunRequest
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import JobRow

BUILD, CHECK = 65767, 48621
TO_ENVIRONMENT = {"deferring_environment_id": 29118}
TO_ITSELF = {"deferring_environment_id": None, "deferring_job_definition_id": CHECK}


def add_run(
    store: Store,
    runs: Path,
    job_id: int = BUILD,
    status: Status = Status.SUCCESS,
    steps: tuple[int, ...] = (4,),
    **overrides: Any,
) -> int:
    """Return a run that has ended, with a manifest of each of ``steps``."""
    with store.write() as session:
        job = session.get_one(JobRow, job_id)
        run = create_run(session, job, RunRequest(cause="test", **overrides), artifacts_saved=True)
        run.status_code = int(status)
    for step in steps:
        artifacts = RunFolder(runs / str(run.id)).artifacts(step)
        artifacts.mkdir(parents=True)
        (artifacts / "manifest.json").write_text(f"of step {step}")
    return run.id


def deferred(store: Store, runs: Path, settings: dict[str, Any]) -> int | None:
    with store.read() as session:
        job = session.scalars(select(JobRow).where(JobRow.id == CHECK)).one()
        changed = Job.model_validate(job.definition | settings)
        found = find_deferred_run(session, changed, runs)
        return found.run_id if found else None


def test_job_without_the_setting_does_not_defer(store: Store, tmp_path: Path) -> None:
    add_run(store, tmp_path)

    assert deferred(store, tmp_path, {"deferring_environment_id": None}) is None


def test_deferral_to_an_environment_uses_its_newest_eligible_run(
    store: Store, tmp_path: Path
) -> None:
    add_run(store, tmp_path)
    newest = add_run(store, tmp_path)
    add_run(store, tmp_path, status=Status.ERROR)
    add_run(store, tmp_path, steps=())  # removed, or it wrote no manifest
    add_run(store, tmp_path, schema_override="scratch")
    add_run(store, tmp_path, github_pull_request_id=7)
    add_run(store, tmp_path, job_id=CHECK)  # of another environment

    assert deferred(store, tmp_path, TO_ENVIRONMENT) == newest


def test_deferral_to_an_environment_ignores_runs_of_ci_jobs(store: Store, tmp_path: Path) -> None:
    add_run(store, tmp_path, job_id=CHECK)

    with pytest.raises(DeferralError, match="environment 29119, but no run there"):
        deferred(store, tmp_path, {"deferring_environment_id": 29119})


def test_deferral_to_a_job_uses_its_newest_run(store: Store, tmp_path: Path) -> None:
    newest = add_run(store, tmp_path, job_id=CHECK, github_pull_request_id=7)
    add_run(store, tmp_path)

    assert deferred(store, tmp_path, TO_ITSELF) == newest


def test_first_run_of_a_self_deferring_job_fails_with_advice(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DeferralError, match=r"itself, .* without `deferring_job_definition_id`"):
        deferred(store, tmp_path, TO_ITSELF)


def test_deferred_run_copies_the_manifest_of_the_last_step(store: Store, tmp_path: Path) -> None:
    add_run(store, tmp_path, steps=(4, 10, 5))
    (tmp_path / "run").mkdir()

    with store.read() as session:
        job = session.get_one(JobRow, CHECK).settings
        found = find_deferred_run(session, job, tmp_path)
    assert found
    found.copy_to(tmp_path / "run" / "state")

    assert (tmp_path / "run" / "state" / "manifest.json").read_text() == "of step 10"


def test_environment_to_defer_omits_dbt_state_for_a_retry() -> None:
    state = Path("/runs/1/state")
    assert environment_to_defer(state, ["build"])["DBT_STATE"] == "/runs/1/state"
    retry = environment_to_defer(state, ["--warn-error", "retry"])
    assert retry == {
        "DBT_DEFER": "true",
        "DBT_FAVOR_STATE": "true",
        "DBT_DEFER_STATE": "/runs/1/state",
    }
