"""What the process that runs a Dag tells the terminal: one JSON object a line, over a pipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter


class Phase(BaseModel):
    """The work before the first task, in a few words."""

    kind: Literal["phase"] = "phase"
    text: str


class DagRunStarted(BaseModel):
    """The tasks about to run, upstream first."""

    kind: Literal["started"] = "started"
    dag_id: str
    task_ids: list[str]


class TaskChanged(BaseModel):
    """A task instance began, ended or waits for its retry."""

    kind: Literal["task"] = "task"
    task_id: str
    map_index: int = -1
    state: str
    try_number: int
    max_tries: int = 0
    error: str = ""
    """The exception of a failed try, in one line."""
    advice: str = ""
    """What to do about it, where dbt Cloud refused a call or was not reached."""
    log_position: int = 0
    """How many bytes the log held at that moment."""

    @property
    def label(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id} [{self.map_index}]"


class DbtCloudStep(BaseModel):
    """Where the dbt Cloud run that a task waits for has got to."""

    kind: Literal["step"] = "step"
    task_id: str
    run_id: int
    text: str


class DbtCloudResult(BaseModel):
    """How a dbt Cloud run ended; numbers of nodes by resource type and status."""

    task_id: str
    url: str
    nodes: dict[str, dict[str, int]] = {}
    """For example {"model": {"success": 12}, "test": {"pass": 40, "fail": 1}}."""


class Question(BaseModel):
    """A task waits for a person's answer, which goes back through the other pipe."""

    kind: Literal["question"] = "question"
    task_id: str
    subject: str
    body: str
    """In Markdown."""
    options: list[str]
    default: str | None
    """What Airflow takes if nobody answers in time."""


class DagRunFinished(BaseModel):
    """The end of the Dag run and everything the summary shows."""

    kind: Literal["finished"] = "finished"
    state: str
    tasks: list[TaskChanged]
    returned: dict[str, Any] = {}
    """What each task returned, by label."""
    dbt_cloud: list[DbtCloudResult] = []


class Failure(BaseModel):
    """The Dag run could not begin; the text is for the user."""

    kind: Literal["failure"] = "failure"
    text: str


Event = Annotated[
    Phase | DagRunStarted | TaskChanged | DbtCloudStep | Question | DagRunFinished | Failure,
    Field(discriminator="kind"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
