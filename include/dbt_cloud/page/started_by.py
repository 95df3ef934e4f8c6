"""Who started a dbt Cloud run: a Dag run, a person, or dbt Cloud itself.

Airflow's XComs, or the key in the run's cause, identify the Dag run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from sqlalchemy import select

from ..airflow.server import XComModel, create_session
from ..api.loose_json import moment, record, text
from ..api.runs import DATABASE_CLOCK_SKEW
from ..run.idempotency_key import IdempotencyKey, without_key

URL = "job_run_url"  # the XCom with a run's URL
MAX_XCOMS = 1000  # to read
# The cause of DbtCloudRunJobExactlyOnceOperator: Airflow: DAG.TASK, DAG RUN [airflow:TOKEN]
CAUSE = re.compile(r"Airflow[^:]*: (?P<task>\S+), (?P<run>.+) \[airflow:(?P<token>\w+)\]")
SCHEDULE, COMPLETION = "Schedule", "Another job's run"
PULL_REQUEST, MERGE, RETRY = "Pull request", "Merge", "Retry"
# https://docs.getdbt.com/docs/build/environment-variables#special-environment-variables
CATEGORIES = {
    "scheduled": SCHEDULE,
    "job completion": COMPLETION,
    "github_pull_request": PULL_REQUEST,
    "gitlab_merge_request": PULL_REQUEST,
    "azure_pull_request": PULL_REQUEST,
    "rerun": RETRY,
}
PERSON = re.compile(r"Kicked off from (?:the )?UI by (.+)", re.IGNORECASE)


def starter_of(trigger: dict[str, Any]) -> str:
    """Return who started a run, such as a person's address; by default the cause, without key."""
    cause = without_key(text(trigger.get("cause")))
    if person := PERSON.match(cause):
        return person[1]
    # Files of earlier versions have no category.
    category = text(trigger.get("cause_category")) or cause.lower()
    return CATEGORIES.get(category, cause)


@dataclass(frozen=True)
class DagRun:
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        """Return the path of its page in Airflow's UI."""
        return f"dags/{quote(self.dag_id, safe='')}/runs/{quote(self.run_id, safe='')}"

    @classmethod
    def in_cause(cls, cause: str) -> Self | None:
        """Return the Dag run of a cause, if the token matches; a cause can be any text."""
        found = CAUSE.search(cause)
        if not found:
            return None
        words = found["task"].split(".")  # Dag ids and task ids can contain dots
        for end in range(1, len(words)):
            dag_id, task_id = ".".join(words[:end]), ".".join(words[end:])
            if IdempotencyKey.token_of(dag_id, found["run"], task_id) == found["token"]:
                return cls(dag_id, found["run"])
        return None


def dag_runs_of(runs: Iterable[dict[str, Any]], readable: set[str]) -> dict[int, DagRun]:
    """Return dbt Cloud run → Dag run, only of readable Dags."""
    listed = list(runs)
    created = filter(None, (moment(run.get("created_at")) for run in listed))
    urls = _urls_in_xcoms(min(created, default=None))
    found = {
        run["id"]: urls.get(text(run.get("href")))
        or DagRun.in_cause(text(record(run.get("trigger")).get("cause")))
        for run in listed
    }
    return {run_id: one for run_id, one in found.items() if one and one.dag_id in readable}


def _urls_in_xcoms(since: datetime | None) -> dict[str, DagRun]:
    if since is None:
        return {}
    query = (
        select(XComModel.value, XComModel.dag_id, XComModel.run_id)
        .where(XComModel.key == URL, XComModel.timestamp >= since - DATABASE_CLOCK_SKEW)
        .order_by(XComModel.timestamp.desc())
        .limit(MAX_XCOMS)
    )
    with create_session() as session:
        rows = session.execute(query).all()
    return {url_in(value): DagRun(f"{dag_id}", f"{run_id}") for value, dag_id, run_id in rows}


def url_in(xcom: Any) -> str:
    """Return the URL in the database's value of an XCom, which is JSON."""
    return str(xcom).strip('"')
