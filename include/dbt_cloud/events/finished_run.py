"""A run that has ended, as an event tells of it: the same by webhook and by watcher."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

STATUSES = {
    Status.SUCCESS.value: "success",
    Status.ERROR.value: "error",
    Status.CANCELLED.value: "cancelled",
}
# How dbt Cloud is asked for what ``of_listed`` reads: the last to end first.
LISTED = {
    "status__in": f"{list(STATUSES)}",
    "order_by": "-finished_at",
    "include_related": "job,trigger",
}
NO_MESSAGE = "None"  # a webhook says it in a word


@dataclass(frozen=True)
class FinishedRun:
    """What an event tells of a run.

    ``status`` is ``success``, ``error`` or ``cancelled``; ``cause`` says who or what started it.
    ``started_at`` is empty if it was cancelled before it began. Times are ISO 8601 in UTC.
    """

    run_id: int
    job_id: int
    job_name: str
    project_id: int
    environment_id: int
    status: str
    message: str
    cause: str
    started_at: str
    finished_at: str
    url: str

    @classmethod
    def of_webhook(cls, body: dict[str, Any], host: str) -> Self:
        """``body`` is that of ``job.run.completed``; ``host`` serves dbt Cloud's pages."""
        data = body["data"]
        message = data["runStatusMessage"]
        path = f"deploy/{body['accountId']}/projects/{data['projectId']}/runs/{data['runId']}/"
        return cls(
            run_id=int(data["runId"]),
            job_id=int(data["jobId"]),
            job_name=data["jobName"],
            project_id=int(data["projectId"]),
            environment_id=int(data["environmentId"]),
            status=STATUSES[data["runStatusCode"]],
            message="" if message == NO_MESSAGE else message or "",
            cause=data["runReason"] or "",
            started_at=_utc(data["runStartedAt"]),
            finished_at=_utc(data["runFinishedAt"] or body["timestamp"]),
            url=f"https://{host}/{path}",
        )

    @classmethod
    def of_listed(cls, run: dict[str, Any]) -> Self:
        """``run`` is as dbt Cloud lists it, with its job and trigger."""
        return cls(
            run_id=run["id"],
            job_id=run["job_definition_id"],
            job_name=(run.get("job") or {}).get("name") or "",
            project_id=run["project_id"],
            environment_id=run["environment_id"],
            status=STATUSES[run["status"]],
            message=run.get("status_message") or "",
            cause=(run.get("trigger") or {}).get("cause") or "",
            started_at=_utc(run["started_at"]),
            finished_at=_utc(run["finished_at"]),
            url=run["href"],
        )

    @classmethod
    def of_extra(cls, extra: dict[str, Any]) -> Self | None:
        """What an asset event's ``extra`` tells; None if it tells of no run of dbt Cloud."""
        told = extra.get(EXTRA)
        return cls(**told) if told else None

    def as_extra(self) -> dict[str, Any]:
        """For an asset event's ``extra``."""
        return {EXTRA: asdict(self)}


EXTRA = "dbt_cloud_run"


def moment(written: str) -> datetime:
    """A time as dbt Cloud writes it, which is UTC if it does not say so."""
    read = datetime.fromisoformat(written)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _utc(written: str | None) -> str:
    """Webhooks and lists write the same second differently."""
    return moment(written).astimezone(UTC).isoformat(timespec="seconds") if written else ""
