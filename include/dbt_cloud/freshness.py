"""Waits until dbt's sources are fresh, by a dbt Cloud job that runs ``dbt source freshness``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, NoReturn

import pendulum
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator

from .airflow_compat import AirflowException, AirflowFailException
from .artifacts import read_artifact
from .client import DbtCloudClient
from .failures import describe_failure
from .trigger import DbtCloudRunTrigger

STALE = ("error", "runtime error")  # dbt fails the step for these, and only warns of "warn"
POLL_SECONDS = 5
GRACE_SECONDS = 600  # for a check that is under way when the time is over
GIVE_UP_AT = "give_up_at"  # key of the XCom
LONG_AGO = pendulum.datetime(1900, 1, 1)  # dbt says year 1 of a source that was never loaded


@dataclass(frozen=True)
class SourceFreshness:
    """What dbt found out about one source.

    ``age`` is in seconds; none if the source was never loaded or could not be read. The file is
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
        loaded_at = result.get("max_loaded_at")
        if loaded_at and pendulum.parse(loaded_at) < LONG_AGO:  # type: ignore[operator]
            loaded_at = None
        return cls(
            name=".".join(result["unique_id"].split(".")[2:]),
            status=result["status"],
            loaded_at=loaded_at,
            age=result["max_loaded_at_time_ago_in_s"] if loaded_at else None,
            allowed=allowed(result.get("criteria") or {}),
            problem=result.get("error") or "",
        )

    def __str__(self) -> str:
        if self.problem:
            return f"{self.name} cannot be read: {self.problem}"
        if self.age is None:
            return f"{self.name} was never loaded"
        return f"{self.name} was loaded {in_words(self.age)} ago{self.allowed}"


class WaitForFreshSourcesOperator(BaseOperator):
    """Succeeds once no source is staler than its ``error_after``; a warning only goes to the log.

    Runs the freshness job, and again every ``check_interval`` while a source is stale. Between and
    during these runs it holds no worker slot. The job reads only, so a run too many does no harm.
    Returns when each source was loaded.

    Args:
        job_id: A dbt Cloud job with the step ``dbt source freshness``.
        max_wait: Minutes after which sources that are still stale fail the task, without retry.
        check_interval: Seconds between two looks.

    Raises:
        AirflowFailException: sources are stale; with their names and ages.
    """

    template_fields: Sequence[str] = ("job_id", "max_wait")

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
        # An XCom, since `dag.test()` forgets the keywords of a deferral.
        context["ti"].xcom_push(key=GIVE_UP_AT, value=time.time() + float(self.max_wait) * 60)
        self.look(context)

    def look(self, context: Any, event: Any = None) -> NoReturn:
        """Run the freshness job."""
        cause = f"Airflow: {context['ti'].dag_id}.{context['ti'].task_id}"
        run = self.client.post(f"jobs/{self.job_id}/run/", {"cause": cause})
        self.log.info("Looking how fresh the sources are: %s", run["href"])
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
        """Go on, look again later, or give up."""
        if event["outcome"] != "ended":
            raise AirflowException(event["message"])
        sources = self.sources_of(event["run_id"])
        for source in sources:
            self.log.info("%s: %s", source.status, source)
        stale = [source for source in sources if source.status in STALE]
        left = give_up_at(context) - time.time()
        if not stale:
            return {source.name: source.loaded_at for source in sources}
        if left <= 0:
            raise AirflowFailException(still_stale(stale, float(self.max_wait)))
        wait = min(self.check_interval, left)
        self.log.info("%s stale: looking again in %.0f s.", count(stale), wait)
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=wait)), method_name="look")

    def sources_of(self, run_id: int) -> list[SourceFreshness]:
        """Raises if the run has no results: it failed for another reason than a stale source."""
        run = self.client.get(f"runs/{run_id}/", include_related="run_steps")
        steps = [step["index"] for step in run["run_steps"] if "source freshness" in step["name"]]
        if not steps:
            raise AirflowFailException(
                f"Job {self.job_id} has no step `dbt source freshness`: add it to its commands."
            )
        artifact = read_artifact(self.client, run_id, "sources.json", steps[-1])
        if artifact is None:
            raise AirflowException(describe_failure(self.client, run_id))
        if not artifact["results"]:
            raise AirflowFailException(
                f"Job {self.job_id} looked at no source: give them a `freshness` in dbt."
            )
        return [SourceFreshness.of(result) for result in artifact["results"]]

    @cached_property
    def client(self) -> DbtCloudClient:
        return DbtCloudClient(DbtCloudHook(self.dbt_cloud_conn_id), self.account_id)


def give_up_at(context: Any) -> float:
    """In seconds since the epoch; also after a deferral."""
    ti = context["ti"]
    moment: float = ti.xcom_pull(task_ids=ti.task_id, key=GIVE_UP_AT, map_indexes=ti.map_index)
    return moment


def still_stale(stale: list[SourceFreshness], minutes: float) -> str:
    lines = "\n".join(f"  {source}" for source in stale)
    waited = f"after {in_words(minutes * 60)} of waiting" if minutes else "and max_wait is 0"
    return (
        f"{count(stale)} stale {waited}:\n{lines}\n"
        "dbt was not started. Load them, then clear this task."
    )


def count(stale: list[SourceFreshness]) -> str:
    return "1 source is" if len(stale) == 1 else f"{len(stale)} sources are"


def allowed(criteria: dict[str, Any]) -> str:
    limit = criteria.get("error_after") or {}
    if not limit.get("count"):
        return ""
    plural = "" if limit["count"] == 1 else "s"
    return f", allowed are {limit['count']} {limit['period']}{plural}"


def in_words(seconds: float) -> str:
    """To the minute: ``3 days 2 hours 1 minute``."""
    return pendulum.duration(minutes=max(1, round(seconds / 60))).in_words()
