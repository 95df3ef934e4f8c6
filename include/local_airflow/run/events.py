"""Events from the process that runs a Dag to the terminal: a pipe with one JSON object a line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

Outcome = Literal["passed", "failed", "skipped"]


class Phase(BaseModel):
    """The work before the first task."""

    kind: Literal["phase"] = "phase"
    text: str


class DagRunStarted(BaseModel):
    """The tasks to run, upstream first."""

    kind: Literal["started"] = "started"
    dag_id: str
    task_ids: list[str]


def label_of(task_id: str, map_index: int) -> str:
    """Return the name of a task instance for the user."""
    return task_id if map_index < 0 else f"{task_id} [{map_index}]"


class TaskChanged(BaseModel):
    """A task instance started, ended or waits for its retry."""

    kind: Literal["task"] = "task"
    task_id: str
    map_index: int = -1
    state: str
    try_number: int
    max_tries: int = 0
    error: str = ""
    """The exception of a failed try, in one line."""
    advice: str = ""
    """The fix, if dbt Cloud refused a call or was unreachable."""
    log_position: int = 0
    """The size of the log at that moment, in bytes."""

    @property
    def label(self) -> str:
        return label_of(self.task_id, self.map_index)


class DbtCloudStep(BaseModel):
    """The current step of the dbt Cloud run that a task waits for."""

    kind: Literal["step"] = "step"
    label: str
    run_id: int
    text: str


class DbtCloudResult(BaseModel):
    """The result of a dbt Cloud run: node counts by resource type and outcome."""

    label: str
    url: str
    nodes: dict[str, dict[Outcome, int]] = {}
    """For example {"model": {"passed": 12}, "test": {"passed": 40, "failed": 1}}."""


class Question(BaseModel):
    """A task waits for a person's response, which is returned over the other pipe."""

    kind: Literal["question"] = "question"
    task_id: str
    subject: str
    body: str
    """In Markdown."""
    options: list[str]
    default: str | None
    """The option that Airflow selects after the response timeout."""


class DagRunFinished(BaseModel):
    """The end of the Dag run, with the content of the summary."""

    kind: Literal["finished"] = "finished"
    state: str
    tasks: list[TaskChanged]
    returned: dict[str, Any] = {}
    """The return value of each task, by label."""
    dbt_cloud: list[DbtCloudResult] = []


class Failure(BaseModel):
    """The Dag run could not start; the text is for the user."""

    kind: Literal["failure"] = "failure"
    text: str


Event = Annotated[
    Phase | DagRunStarted | TaskChanged | DbtCloudStep | Question | DagRunFinished | Failure,
    Field(discriminator="kind"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
