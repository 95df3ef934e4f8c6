"""How a run ends, and how somebody else ends it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from sqlalchemy.orm import Session

from include.local_dbt_cloud.follow_ups import queue_follow_ups
from include.local_dbt_cloud.rows import RunRow
from include.local_dbt_cloud.run_store import end_open_steps, move_run, started_runs
from include.local_dbt_cloud.statuses import Status


@dataclass(frozen=True)
class Ending:
    """The final status, and why if not well."""

    status: Status
    message: str | None = None


SUCCEEDED = Ending(Status.SUCCESS)
FAILED = Ending(Status.ERROR, "dbt command failed")
CANCELLED = Ending(Status.CANCELLED, "Cancelled by user.")
OVERTAKEN = Ending(
    Status.CANCELLED,
    "A newer scheduled run of this job took its place in the queue. "
    "Schedule the job less often than its runs take, or make it faster.",
)
SERVER_STOPPED = Ending(
    Status.ERROR,
    "The local dbt Cloud was stopped while this run was active. "
    "Start it again and run the job once more.",
)
LOST = Ending(
    Status.ERROR,
    "The local dbt Cloud could not store how this run ended, for instance on a full disk. "
    "Run the job once more.",
)


# A step that was cut off kept no artifacts: only one that failed by itself can be resumed.
NOTHING_TO_RESUME = "RETRY_NO_RUN_RESULTS"


class InterruptedRunError(Exception):
    """Somebody ended the run: a user, its time limit, or the server on its way out."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(ending.message)


def end_run(session: Session, run: RunRow, ending: Ending) -> None:
    """Ends a run with its open steps, and queues the jobs that waited for it."""
    move_run(run, ending.status, ending.message)
    end_open_steps(run, ending.status, ending.message or "")
    if ending != FAILED:
        run.retry_obstacle = NOTHING_TO_RESUME
    queue_follow_ups(session, run)


def end_abandoned_runs(session: Session, ending: Ending, at_work: Container[int] = ()) -> None:
    """Ends what has left the queue and is not ``at_work``; what is queued stays queued."""
    for run in started_runs(session):
        if run.id not in at_work:
            end_run(session, run, ending)
