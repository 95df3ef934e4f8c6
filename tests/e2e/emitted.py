"""The OpenLineage events that an Airflow writes into a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.project import Project
from tests.waiting import eventually

# A model's task ends in the triggerer, where Airflow emits nothing, also if it began in a worker.
OF_MODEL = re.compile(r"\.(staging|marts)\.")
ENDS = ("COMPLETE", "FAIL", "ABORT")
NODES = "warehouse.analytics.jaffle_shop."
EXTRACTOR = "include.dbt_cloud.lineage_events.extractor.DbtCloudRunExtractor"

Event = dict[str, Any]


@dataclass(frozen=True)
class Emitted:
    """The file of events."""

    file: Path

    @classmethod
    def by(cls, project: Project) -> Emitted:
        return cls(project.root / "events.jsonl")

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings that write events into the file."""
        transport = {"type": "file", "log_file_path": str(self.file), "append": True}
        return {
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__EXTRACTORS": EXTRACTOR,
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",  # seconds; for a busy machine
        }

    def all(self) -> list[Event]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in lines]

    def of_dag_run(self, dag_id: str, dag_run_id: str, times: int = 1) -> list[Event]:
        """Return the events of a Dag run and of all runs below it, once all have ended.

        A task sends its last event after Airflow has stored its state. A Dag run that was cleared
        ends several ``times``.
        """

        def found() -> list[Event] | None:
            events = self.all()
            own = [one for one in events if is_of(one, dag_id, dag_run_id)]
            if sum(one["eventType"] in ENDS for one in own) < times:
                return None
            roots = {one["run"]["runId"] for one in own}
            own += [one for one in events if root(one) in roots]
            ended = {one["run"]["runId"] for one in own if one["eventType"] in ENDS}
            open_runs = [one for one in own if one["run"]["runId"] not in ended]
            return own if all(OF_MODEL.search(one["job"]["name"]) for one in open_runs) else None

        return eventually(found, f"an event of the end of {dag_id} {dag_run_id}")


def job_runs(events: list[Event]) -> list[Event]:
    """Return the events of the ends of dbt Cloud runs."""
    return [one for one in events if kind(one) == ("DBT", "JOB") and one["eventType"] in ENDS]


def below(events: list[Event], run: Event) -> dict[str, str]:
    """Return job → how its run ended, of the nodes below a run."""
    ends = [
        one for one in events if parent(one) == run["run"]["runId"] and one["eventType"] in ENDS
    ]
    return {one["job"]["name"].removeprefix(NODES): one["eventType"] for one in ends}


def is_of(event: Event, dag_id: str, dag_run_id: str) -> bool:
    """Return whether the event is of the Dag run itself, which a clear gives another id."""
    if event["job"]["name"] != dag_id:
        return False
    return bool(event["run"]["facets"]["airflowDagRun"]["dagRun"]["run_id"] == dag_run_id)


def root(event: Event) -> str | None:
    facet = event["run"]["facets"].get("parent") or {}
    return facet["root"]["run"]["runId"] if facet.get("root") else None


def kind(event: Event) -> tuple[str, str]:
    facet = event["job"]["facets"]["jobType"]
    return facet["integration"], facet["jobType"]


def parent(event: Event) -> str | None:
    facet = event["run"]["facets"].get("parent")
    return str(facet["run"]["runId"]) if facet else None


def repeated(events: list[Event]) -> list[tuple[str, str]]:
    """Return run and type of dbt's events that occur twice; a deferred task starts twice."""
    dbt = [one for one in events if kind(one)[0] == "DBT"]
    keys = [(one["run"]["runId"], one["eventType"]) for one in dbt]
    return sorted({key for key in keys if keys.count(key) > 1})
