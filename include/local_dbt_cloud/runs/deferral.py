"""Which run a job defers to, and how dbt is told: CONTRACT.md, section 3.4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from include.local_dbt_cloud.runs.run_folder import RunFolder
from include.local_dbt_cloud.storage.commands import without_leading_flags
from include.local_dbt_cloud.storage.schemas import Job
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.tables import RunRow

MANIFEST = "manifest.json"
# What `state:`, `result:` and `source_status:` selections compare with.
STATE = (MANIFEST, "run_results.json", "sources.json")


class DeferralError(Exception):
    """There is no run to defer to; the message is for the run's log."""


@dataclass(frozen=True)
class DeferredRun:
    """The run whose models stand in for those that are not built, and where its artifacts are."""

    run_id: int
    job_id: int
    artifacts: Path

    def copy_to(self, folder: Path) -> None:
        """A copy, since the run's own folder may be cleaned up at any time."""
        folder.mkdir()
        for name in STATE:
            if (self.artifacts / name).exists():
                copyfile(self.artifacts / name, folder / name)


def find_deferred_run(session: Session, job: Job, runs: Path) -> DeferredRun | None:
    """The newest run that the job's settings mean; None if the job does not defer.

    Raises DeferralError if no run has succeeded yet and left its manifest.
    """
    if job.deferring_environment_id:
        what = f"environment {job.deferring_environment_id}"
        candidates = _runs_of_environment(session, job.deferring_environment_id)
    elif job.deferring_job_definition_id:
        what = f"job {job.deferring_job_definition_id}"
        candidates = _successful(session, RunRow.job_id == job.deferring_job_definition_id)
    else:
        return None
    for run in candidates:
        artifacts = RunFolder(runs / str(run.id)).newest_artifacts(MANIFEST)
        if artifacts:
            return DeferredRun(run.id, run.job_id, artifacts)
    if job.deferring_job_definition_id == job.id:
        raise DeferralError(
            "This job defers to itself, and no run of it has succeeded and left a manifest yet. "
            "Run it once without `deferring_job_definition_id`, then set that again."
        )
    raise DeferralError(
        f"This job defers to {what}, and no run there has succeeded and left a manifest yet. "
        "Run one there first: `dbt build`, or `dbt parse` if its tables are there already."
    )


def environment_to_defer(state: Path, arguments: list[str]) -> dict[str, str]:
    """Variables, since a command and a job may say otherwise: `--no-defer`, `DBT_DEFER`."""
    variables = {
        "DBT_DEFER": "true",
        "DBT_FAVOR_STATE": "true",
        "DBT_DEFER_STATE": str(state),
        "DBT_STATE": str(state),
    }
    if "retry" in without_leading_flags(arguments)[:1]:
        del variables["DBT_STATE"]  # there it means the results of the run that failed
    return variables


def _runs_of_environment(session: Session, environment_id: int) -> Iterator[RunRow]:
    """Those that say what is in its schema: of deploy jobs, in no other schema, of no CI."""
    in_place = RunRow.trigger["schema_override"].as_string().is_(None)
    where = (RunRow.environment_id == environment_id) & in_place & RunRow.pull_request.is_(None)
    for run in _successful(session, where):
        if run.job_settings.computed_job_type != "ci":
            yield run


def _successful(session: Session, where: ColumnElement[bool]) -> Iterator[RunRow]:
    """The newest first, read as they are needed."""
    statement = (
        select(RunRow)
        .where(RunRow.status_code == Status.SUCCESS, RunRow.artifacts_saved, where)
        .order_by(RunRow.id.desc())
        .execution_options(yield_per=10)
    )
    yield from session.scalars(statement)
