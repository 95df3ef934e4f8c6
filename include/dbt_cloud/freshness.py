"""Wait for fresh dbt sources, by a dbt Cloud job that runs ``dbt source freshness``."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, NoReturn

import pendulum
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperatorLink
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator

from .airflow.compat import AirflowException, AirflowFailException
from .api.artifacts import read_artifact
from .api.client import DbtCloudClient
from .api.loose_json import number, record, records, text
from .run.failures import describe_failure
from .run.trigger import DbtCloudRunTrigger

FRESH = ("pass", "warn")  # any other status keeps the gate closed
POLL_SECONDS = 5
GRACE_SECONDS = 600  # for a check that runs at the deadline
GIVE_UP_AT = "give_up_at"  # key of the XCom
FIRST_YEAR = 1900  # dbt writes year 1 for a source that was never loaded
LONGEST_AGE = 100 * 365 * 86400  # seconds; beyond, the time of loading is shown
CHECKS_AGAIN = "The next try, or clearing this task, checks with a new run."


class NotCheckedError(AirflowException):
    """A run was cancelled, or failed, before it checked any source."""


@dataclass(frozen=True)
class SourceFreshness:
    """The freshness of one source, from ``sources.json``.

    ``age`` is in seconds; None if the source was never loaded or could not be read.
    https://docs.getdbt.com/reference/artifacts/sources-json
    """

    name: str
    status: str
    loaded_at: str | None
    age: float | None
    allowed: str
    problem: str

    @classmethod
    def of(cls, result: dict[str, Any]) -> SourceFreshness:
        loaded_at = loaded(result.get("max_loaded_at"))
        return cls(
            name=".".join(text(result.get("unique_id")).split(".")[2:])
            or "A source without a name",
            status=text(result.get("status")) or "unknown",
            loaded_at=loaded_at,
            age=number(result.get("max_loaded_at_time_ago_in_s")) if loaded_at else None,
            allowed=allowed(record(result.get("criteria"))),
            problem=text(result.get("error")),
        )

    @property
    def is_fresh(self) -> bool:
        return self.status in FRESH

    def __str__(self) -> str:
        if self.problem or self.status == "runtime error":
            return f"{self.name} cannot be read: {self.problem or 'dbt gives no reason'}"
        if self.status not in (*FRESH, "error"):
            return f"{self.name} was not checked: its status is {self.status}"
        if self.loaded_at is None:
            return f"{self.name} was never loaded"
        if self.age is None or not 0 <= self.age < LONGEST_AGE:
            return f"{self.name} was loaded at {self.loaded_at}{self.allowed}"
        return f"{self.name} was loaded {age_text(self.age)} ago{self.allowed}"


class WaitForFreshSourcesOperator(BaseOperator):
    """Succeeds once no source is staler than its ``error_after``; warnings are only logged.

    Runs the freshness job, and repeats it every ``check_interval`` while a source is stale, or if
    the run was cancelled or failed before the check. It holds no worker slot meanwhile. The job
    only reads, so an additional run is harmless. Returns the time of loading of each source. The
    XComs ``job_run_id`` and ``job_run_url`` are those of the last check.

    Args:
        job_id: A dbt Cloud job with the step ``dbt source freshness``.
        max_wait: Minutes after which stale sources fail the task, without retry.
        check_interval: Seconds between two checks.

    Raises:
        AirflowFailException: Sources are stale; with their names and ages.
        AirflowException: The last run did not check sources; with dbt Cloud's reason.
    """

    template_fields: Sequence[str] = ("job_id", "max_wait")
    operator_extra_links = (DbtCloudRunJobOperatorLink(),)

    def __init__(
        self,
        *,
        job_id: int,
        max_wait: float | str = 120,
        check_interval: float = 300,
        dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
        account_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.max_wait = max_wait
        self.check_interval = check_interval
        self.dbt_cloud_conn_id = dbt_cloud_conn_id
        self.account_id = account_id

    def execute(self, context: Any) -> NoReturn:
        # An XCom, since `dag.test()` drops the keyword arguments of a deferral.
        context["ti"].xcom_push(key=GIVE_UP_AT, value=time.time() + float(self.max_wait) * 60)
        self.look(context)

    def look(self, context: Any, event: Any = None) -> NoReturn:
        """Run the freshness job."""
        cause = f"Airflow: {context['ti'].dag_id}.{context['ti'].task_id}"
        run = self.client.post(f"jobs/{self.job_id}/run/", {"cause": cause})
        self.log.info("Checking the freshness of sources: %s", run["href"])
        context["ti"].xcom_push(key="job_run_url", value=run["href"])
        context["ti"].xcom_push(key="job_run_id", value=run["id"])
        trigger = DbtCloudRunTrigger(
            conn_id=self.dbt_cloud_conn_id,
            account_id=self.client.account_id,
            run_id=run["id"],
            poll_interval=min(self.check_interval, POLL_SECONDS),
            end_time=give_up_at(context) + GRACE_SECONDS,
            execution_deadline=None,
            max_silence=GRACE_SECONDS,
        )
        self.defer(trigger=trigger, method_name="decide")

    def decide(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return when each source was loaded, check again later, or give up."""
        if event["outcome"] != "ended":
            raise AirflowException(event["message"])
        try:
            sources = self.sources_of(event["run_id"])
        except NotCheckedError as reason:
            self.log.warning("%s", reason)
            self.look_later(context, "No source was checked", reason)
        for source in sources:
            self.log.info("%s: %s", source.status, source)
        stale = [source for source in sources if not source.is_fresh]
        if stale:
            too_late = AirflowFailException(still_stale(stale, float(self.max_wait)))
            self.look_later(context, f"{count(stale)} stale", too_late)
        return {source.name: source.loaded_at for source in sources}

    def look_later(self, context: Any, why: str, error: AirflowException) -> NoReturn:
        """Wait for another check; raise ``error`` after the deadline."""
        left = give_up_at(context) - time.time()
        if left <= 0:
            raise error
        wait = min(self.check_interval, left)
        self.log.info("%s: checking again in %.0f s.", why, wait)
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=wait)), method_name="look")

    def sources_of(self, run_id: int) -> list[SourceFreshness]:
        """Return the results of a finished run; raise ``AirflowException`` without any."""
        run = self.client.get(f"runs/{run_id}/", include_related="run_steps")
        steps = [step for step in run["run_steps"] or () if "source freshness" in step["name"]]
        artifact = None
        if steps:
            artifact = read_artifact(self.client, run_id, "sources.json", steps[-1]["index"])
        if artifact is None:
            raise self.why_without_sources(run, has_step=bool(steps))
        sources = [SourceFreshness.of(result) for result in records(artifact.get("results"))]
        if not sources:
            raise AirflowFailException(
                f"Job {self.job_id} checked no source: configure `freshness` for sources in dbt."
            )
        return sources

    def why_without_sources(self, run: dict[str, Any], has_step: bool) -> AirflowException:
        if run["status"] == Status.SUCCESS.value and not has_step:
            return AirflowFailException(
                f"Job {self.job_id} has no step `dbt source freshness`: add it to its commands."
            )
        if run["status"] == Status.SUCCESS.value:
            return AirflowException(
                f"Run {run['id']} succeeded, but wrote no sources.json: {run['href']}"
            )
        reason = describe_failure(self.client, run["id"], CHECKS_AGAIN)
        has_looked = has_step and run["status"] == Status.ERROR.value
        return AirflowException(reason) if has_looked else NotCheckedError(reason)

    @cached_property
    def client(self) -> DbtCloudClient:
        return DbtCloudClient(DbtCloudHook(self.dbt_cloud_conn_id), self.account_id)


def give_up_at(context: Any) -> float:
    """Return the deadline in seconds since the epoch, also after a deferral."""
    ti = context["ti"]
    moment: float = ti.xcom_pull(task_ids=ti.task_id, key=GIVE_UP_AT, map_indexes=ti.map_index)
    return moment


def still_stale(stale: list[SourceFreshness], minutes: float) -> str:
    lines = "\n".join(f"  {source}" for source in stale)
    waited = f"after {age_text(minutes * 60)} of waiting" if minutes else "and max_wait is 0"
    return (
        f"{count(stale)} stale {waited}:\n{lines}\n"
        "dbt was not started. Load these sources, then clear this task."
    )


def count(stale: list[SourceFreshness]) -> str:
    return "1 source is" if len(stale) == 1 else f"{len(stale)} sources are"


def loaded(moment: Any) -> str | None:
    """Return a time as dbt writes it; None for a source that was never loaded."""
    year = re.match(r"\s*(\d{1,4})-", text(moment))
    return text(moment) if moment and not (year and int(year[1]) < FIRST_YEAR) else None


def allowed(criteria: dict[str, Any]) -> str:
    limit = record(criteria.get("error_after"))
    number_of, period = number(limit.get("count")), text(limit.get("period"))
    if not number_of or not period:
        return ""
    return f" (allowed: {number_of:g} {period}{'' if number_of == 1 else 's'})"


def age_text(seconds: float) -> str:
    """Return a duration to the minute, such as ``3 days 2 hours 1 minute``."""
    return pendulum.duration(minutes=max(1, round(seconds / 60))).in_words()
