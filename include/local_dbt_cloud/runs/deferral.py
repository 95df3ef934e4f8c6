"""The run that a job defers to, and dbt's variables for it (CONTRACT.md, section 3.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ..storage.commands import without_leading_flags
from ..storage.schemas import Job
from ..storage.statuses import Status
from ..storage.tables import RunRow
from .run_folder import RunFolder

MANIFEST = "manifest.json"
# Files that `state:`, `result:` and `source_status:` selections compare with.
STATE = (MANIFEST, "run_results.json", "sources.json")


class DeferralError(Exception):
    """There is no run to defer to; the message goes into the run's log."""


@dataclass(frozen=True)
class DeferredRun:
    """The run that provides the models that are not built, and the folder of its artifacts."""

    run_id: int
    job_id: int
    artifacts: Path

    def copy_to(self, folder: Path) -> None:
        """Copy the artifacts, because the run's own folder may be removed at any time."""
        folder.mkdir()
        for name in STATE:
            if (self.artifacts / name).exists():
                copyfile(self.artifacts / name, folder / name)


def find_deferred_run(session: Session, job: Job, runs: Path) -> DeferredRun | None:
    """Return the newest run that the job's settings select; None if the job does not defer.

    Raises DeferralError if no run has succeeded and saved its manifest yet.
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
            "This job defers to itself, but no run of it has succeeded and saved a manifest yet. "
            "Run it once without `deferring_job_definition_id`, then set the field again."
        )
    raise DeferralError(
        f"This job defers to {what}, but no run there has succeeded and saved a manifest yet. "
        "Run `dbt build` there first, or `dbt parse` if its tables already exist."
    )


def environment_to_defer(state: Path, arguments: list[str]) -> dict[str, str]:
    """Return dbt's variables, which a command or a job can override: `--no-defer`, `DBT_DEFER`."""
    variables = {
        "DBT_DEFER": "true",
        "DBT_FAVOR_STATE": "true",
        "DBT_DEFER_STATE": str(state),
        "DBT_STATE": str(state),
    }
    if "retry" in without_leading_flags(arguments)[:1]:
        del variables["DBT_STATE"]  # for `dbt retry` it is the state of the failed run
    return variables


def _runs_of_environment(session: Session, environment_id: int) -> Iterator[RunRow]:
    """Yield successful runs of deploy jobs in the environment's own schema, without CI runs."""
    in_place = RunRow.trigger["schema_override"].as_string().is_(None)
    where = (RunRow.environment_id == environment_id) & in_place & RunRow.pull_request.is_(None)
    for run in _successful(session, where):
        if run.job_settings.computed_job_type != "ci":
            yield run


def _successful(session: Session, where: ColumnElement[bool]) -> Iterator[RunRow]:
    """Yield successful runs, newest first, loaded as they are needed."""
    statement = (
        select(RunRow)
        .where(RunRow.status_code == Status.SUCCESS, RunRow.artifacts_saved, where)
        .order_by(RunRow.id.desc())
        .execution_options(yield_per=10)
    )
    yield from session.scalars(statement)
