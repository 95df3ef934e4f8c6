"""The progress of a Dag run: a live table on a terminal, otherwise plain lines."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from include.local_airflow.run.events import DagRunStarted, DbtCloudStep, Event, Phase, TaskChanged

MARKS = {"success": "[green]✓", "failed": "[red]✗", "skipped": "[yellow]-"}
_STATE_TEXTS = {"up_for_retry": "waiting to retry", "upstream_failed": "not run, upstream failed"}
_MOVING = ("running", "up_for_retry")


def state_text(state: str) -> str:
    """Return a task state as the Airflow UI displays it."""
    return _STATE_TEXTS.get(state, state.replace("_", " "))


@dataclass
class TaskRow:
    """The progress of one task instance."""

    label: str
    state: str = "waiting"
    started: float = 0.0
    ended: float = 0.0
    try_number: int = 0
    max_tries: int = 0
    dbt_cloud_run: int = 0
    step: str = ""  # of that run, while it is running
    error: str = ""
    advice: str = ""
    log: list[tuple[int, int]] = field(default_factory=list)
    """The log sections of the last try: start and end, in bytes."""

    @property
    def seconds(self) -> float:
        """Return the time from the start of the first try to the end of the last, or to now."""
        return (self.ended or time.monotonic()) - self.started if self.started else 0.0

    @property
    def detail(self) -> str:
        tries = f"try {self.try_number} of {self.max_tries + 1}" if self.try_number > 1 else ""
        run = f"dbt Cloud run {self.dbt_cloud_run} {self.step}" if self.dbt_cloud_run else ""
        return ", ".join(part for part in (tries, self.error or run.strip()) if part)

    def change(self, event: TaskChanged) -> None:
        """Update the row from the event."""
        now = time.monotonic()
        self.started = self.started or now
        if event.try_number != self.try_number:
            self.log.clear()
        self.state, self.try_number = event.state, event.try_number
        self.max_tries = event.max_tries
        self.error, self.advice = event.error, event.advice
        self.ended = 0.0 if event.state in _MOVING else now
        if self.ended:
            self.step = ""  # the poll may be older than the end


@dataclass
class Progress:
    """The state of the Dag run, from its events."""

    console: Console
    phase: str = "Starting Airflow"
    rows: dict[str, TaskRow] = field(default_factory=dict)
    dbt_cloud: str = ""
    """The newest dbt Cloud run and its status."""
    _writing: TaskRow | None = None
    _written: int = 0

    def live(self) -> Live:
        """Return the live table, which is removed when it ends."""
        return Live(get_renderable=self._table, console=self.console, transient=True)

    def handle(self, event: Event) -> None:
        """Process an event; print it as a line if the output is not a terminal."""
        line = ""
        if isinstance(event, Phase):
            self.phase = line = event.text
        elif isinstance(event, DagRunStarted):
            self.phase = f"Running {event.dag_id}"
            self.rows = {task_id: TaskRow(task_id) for task_id in event.task_ids}
        elif isinstance(event, TaskChanged):
            line = self._change(event)
            if event.advice and event.try_number == 1:  # do not wait for the retries
                self.console.print(Text(event.advice), soft_wrap=True)
        elif isinstance(event, DbtCloudStep):
            line = self._step(event)
        if line and not self.console.is_terminal:
            self.console.print(Text(line), soft_wrap=True)

    def _change(self, event: TaskChanged) -> str:
        if event.map_index >= 0:  # one row per mapped instance replaces the task's row
            self.rows.pop(event.task_id, None)
        row = self.rows.setdefault(event.label, TaskRow(event.label))
        resumed = row.state == event.state == "running" and row.try_number == event.try_number
        if self._writing:  # only one task runs at a time; others may wait
            self._writing.log.append((self._written, event.log_position))
        row.change(event)
        self._writing = row if event.state == "running" else None
        self._written = event.log_position
        took = f" after {row.seconds:.1f} s" if event.state != "running" else ""
        detail = f" ({row.detail})" if row.detail else ""
        return "" if resumed else f"{row.label}: {state_text(row.state)}{took}{detail}"

    def _step(self, event: DbtCloudStep) -> str:
        self.dbt_cloud = f"dbt Cloud run {event.run_id} {event.text}"
        row = self.rows.get(event.label)
        if row is None or row.ended:
            return ""
        row.dbt_cloud_run, row.step = event.run_id, event.text
        return f"{row.label}: {self.dbt_cloud}"

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_row(Spinner("dots"), Text(self.phase, style="bold"))
        for row in self.rows.values():
            moving = row.state in _MOVING
            table.add_row(
                Spinner("dots") if moving else MARKS.get(row.state, ""),
                Text(row.label),
                Text(state_text(row.state)),
                f"{row.seconds:.1f} s" if row.started else "",
                Text(row.detail, style="dim", no_wrap=True, overflow="ellipsis"),
            )
        return table
