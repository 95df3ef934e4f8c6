"""How a run ends, and how somebody else ends it."""

from __future__ import annotations

from dataclasses import dataclass

from include.local_dbt_cloud.run_store import CANCELLED_BY_USER, STOPPED
from include.local_dbt_cloud.statuses import Status


@dataclass(frozen=True)
class Ending:
    """The final status, and why if not well."""

    status: Status
    message: str | None = None


SUCCEEDED = Ending(Status.SUCCESS)
FAILED = Ending(Status.ERROR, "dbt command failed")
CANCELLED = Ending(Status.CANCELLED, CANCELLED_BY_USER)
SERVER_STOPPED = Ending(Status.ERROR, STOPPED)


class InterruptedRunError(Exception):
    """Somebody ended the run: a user, its time limit, or the server on its way out."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(ending.message)
