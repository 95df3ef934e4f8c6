"""A finished run, with the same content from a webhook and from a watcher."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from reprlib import repr as beginning_of
from typing import Any, Self

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..api.accounts import Account
from .fields import iso, iso_or_empty, mapping, number, number_or_none, text

STATUSES = {
    Status.SUCCESS.value: "success",
    Status.ERROR.value: "error",
    Status.CANCELLED.value: "cancelled",
}
# The query for runs that ``of_listed`` reads, the last to finish first.
LISTED = {
    "status__in": f"{list(STATUSES)}",
    "order_by": "-finished_at",
    "include_related": "job,trigger",
}
NO_MESSAGE = "None"  # in webhooks
EXTRA = "dbt_cloud_run"  # in an asset event's extra
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of dbt Cloud.

    ``status`` is ``success``, ``error`` or ``cancelled``; ``cause`` describes what started it.
    ``started_at`` is empty if it was cancelled before its start. Times are ISO 8601 in UTC.

    ``host`` and ``account_id`` are those of the connection: two accounts can have the same run id.

    ``project_id`` and ``environment_id`` are None if a webhook lacks them. Without a project,
    ``url`` is the run's address in dbt Cloud's API, since that of its page contains the project.
    """

    run_id: int
    job_id: int
    job_name: str
    project_id: int | None
    environment_id: int | None
    status: str
    message: str
    cause: str
    started_at: str
    finished_at: str
    url: str
    host: str = ""
    account_id: int | None = None  # as the host, missing in events of earlier versions

    @classmethod
    def of_webhook(cls, body: dict[str, Any], account: Account, pages_host: str = "") -> Self:
        """Read the body of ``job.run.completed``, sent by ``account``.

        ``pages_host`` serves dbt Cloud's pages; by default the account's host.

        Raises:
            ValueError: A value is not as documented.
        """
        data = mapping("data", body.get("data"))
        run_id = number("runId", data.get("runId"))
        project_id = number_or_none("projectId", data.get("projectId"))
        page, api = f"deploy/{account.id}/projects/{project_id}", f"api/v2/accounts/{account.id}"
        path = f"{page if project_id else api}/runs/{run_id}/"
        message = text(data.get("runStatusMessage"))
        finished_at = iso_or_empty("runFinishedAt", data.get("runFinishedAt"))
        return cls._read(
            run_id=run_id,
            job_id=data.get("jobId"),
            job_name=data.get("jobName"),
            project_id=project_id,
            environment_id=data.get("environmentId"),
            status=status_of("runStatusCode", data.get("runStatusCode")),
            message="" if message == NO_MESSAGE else message,
            cause=data.get("runReason"),
            started_at=data.get("runStartedAt"),
            finished_at=finished_at or body.get("timestamp"),
            url=f"https://{pages_host or account.host}/{path}",
            host=account.host,
            account_id=account.id,
        )

    @classmethod
    def of_listed(cls, run: Any, account: Account) -> Self:
        """Read a run of the account's list, with its job and trigger.

        Raises:
            ValueError: A value is not as documented.
        """
        run = mapping("run", run)
        job, trigger = run.get("job"), run.get("trigger")
        return cls._read(
            run_id=run.get("id"),
            job_id=run.get("job_definition_id"),
            job_name=job.get("name") if isinstance(job, dict) else None,
            project_id=run.get("project_id"),
            environment_id=run.get("environment_id"),
            status=status_of("status", run.get("status")),
            message=run.get("status_message"),
            cause=trigger.get("cause") if isinstance(trigger, dict) else None,
            started_at=run.get("started_at"),
            finished_at=run.get("finished_at"),
            url=run.get("href"),
            host=account.host,
            account_id=account.id,
        )

    @classmethod
    def of_extra(cls, extra: Any) -> Self | None:
        """Read an asset event's ``extra``; return None if it has no run of dbt Cloud."""
        content = extra.get(EXTRA) if isinstance(extra, dict) else None
        if not content:
            return None
        try:
            fields = mapping(EXTRA, content)
            return cls._read(**{name: fields.get(name) for name in cls.__annotations__})
        except ValueError as error:
            log.warning("Ignored an asset event without a valid run: %s.", error)
            return None

    @classmethod
    def _read(cls, **fields: Any) -> Self:
        return cls(
            run_id=number("the run's id", fields["run_id"]),
            job_id=number("the job's id", fields["job_id"]),
            job_name=text(fields["job_name"]),
            project_id=number_or_none("the project's id", fields["project_id"]),
            environment_id=number_or_none("the environment's id", fields["environment_id"]),
            status=text(fields["status"]),
            message=text(fields["message"]),
            cause=text(fields["cause"]),
            started_at=iso_or_empty("the start", fields["started_at"]),
            finished_at=iso("the end", fields["finished_at"]),
            url=text(fields["url"]),
            host=text(fields["host"]),
            account_id=number_or_none("the account's id", fields["account_id"]),
        )

    def is_same(self, other: FinishedRun) -> bool:
        """Return whether both are one run; if one has no account, only the ids are compared."""
        places = {(run.host, run.account_id) for run in (self, other) if run.account_id}
        return self.run_id == other.run_id and len(places) < 2

    def as_extra(self) -> dict[str, Any]:
        """Return the ``extra`` of an asset event."""
        return {EXTRA: asdict(self)}


def status_of(name: str, code: Any) -> str:
    if (status := STATUSES.get(number(name, code))) is None:
        raise ValueError(f"{name} is {beginning_of(code)}, not that of a finished run")
    return status
