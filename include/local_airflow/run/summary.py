"""What is printed when a Dag run has ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.local_airflow.run.events import DagRunFinished, DbtCloudResult, TaskChanged
from include.local_airflow.run.progress import MARKS, Progress, TaskRow, words

LOG_LINES = 25
_NOISE = (
    "[airflow.api_fastapi.execution_api.",
    "[airflow.sdk.api.client]",
    "::group::",
    "::endgroup::",
    "[py.warnings]",
)
# A traceback's frames inside Python and installed packages, which hide the user's own.
_LIBRARY_FRAME = re.compile(r'^  File "[^"]*/lib/python3\.\d+/.*\n(?:    .*\n)*', re.MULTILINE)
# How Airflow's log tells of a task that skips itself, of one that skips what follows it, and of
# what a Dag's file says by its own logger.
_SKIPS_ITSELF = re.compile(r"Skipping task\. .*reason=(.+)")
_SKIPS_OTHERS = "Skipping downstream tasks."
_SAID = re.compile(r"\] (.+?) +\[unusual_prefix_")
_NODE_WORDS = {
    "model": ("models built", "models failed"),
    "test": ("tests passed", "tests failed"),
    "unit_test": ("unit tests passed", "unit tests failed"),
    "seed": ("seeds loaded", "seeds failed"),
    "snapshot": ("snapshots taken", "snapshots failed"),
}
_GOOD = ("success", "pass", "warn", "no-op", "reused")


def print_summary(
    console: Console, dag_id: str, end: DagRunFinished, progress: Progress, seconds: float
) -> None:
    """Print tasks, rows, numbers and dbt Cloud runs; every part only if there is something."""
    console.print(_tasks(end, progress))
    rows = {task: value for task, value in end.returned.items() if value and _all(value, int)}
    if rows:
        console.print(_rows_per_table(rows))
    for task, value in end.returned.items():
        if task not in rows and value and _all(value, (int, float, str)):
            console.print(Text(f"{task}: {_numbers(value)}"), soft_wrap=True)
    # Two tasks may tell of one run.
    for line in dict.fromkeys(f"{_nodes(result)}{result.url}" for result in end.dbt_cloud):
        console.print(Text(f"dbt Cloud run: {line}"), soft_wrap=True)
    verdict = "[green]succeeded" if end.state == "success" else f"[red]{end.state}"
    console.print(f"Dag run {dag_id} {verdict}[/] in {seconds:.1f} s.")


def print_skips(console: Console, end: DagRunFinished, progress: Progress, log: Path) -> None:
    """Tell why tasks were skipped, as far as the log does."""
    for task in end.tasks:
        text = "\n".join(task_log(log, progress.rows.get(task.label)))
        if reason := _SKIPS_ITSELF.search(text):
            words = reason[1].strip("'\"")
            console.print(Text(f"{task.label} was skipped: {words}"), soft_wrap=True)
        elif _SKIPS_OTHERS in text:
            why = "".join(f": {said}" for said in _SAID.findall(text)[-1:])
            console.print(Text(f"What follows {task.label} was skipped{why}"), soft_wrap=True)


def print_failures(
    console: Console, dag_id: str, end: DagRunFinished, progress: Progress, log: Path
) -> None:
    """Name the tasks that failed, show the end of their logs, say what to do next."""
    urls = {result.task_id: result.url for result in end.dbt_cloud}
    for task in end.tasks:
        row = progress.rows.get(task.label)
        if task.state != "failed" or (row and row.advice):  # which says more than the log
            continue
        console.rule(Text(f"The last lines of {task.label}", style="red"), align="left")
        for line in task_log(log, row):
            console.print(Text(line), soft_wrap=True)
        if task.task_id in urls:
            console.print(Text(f"The dbt Cloud run: {urls[task.task_id]}"), soft_wrap=True)
    console.rule(style="red")
    for advice in dict.fromkeys(row.advice for row in progress.rows.values() if row.advice):
        console.print(Text(f"{advice} make doctor says more.", style="bold"), soft_wrap=True)
    failed = " and ".join(
        f"{task.label} ({error})" if (error := _error(progress, task)) else task.label
        for task in end.tasks
        if task.state == "failed"
    )
    console.print(
        Text(
            f"Failed: {failed or dag_id}. Correct what the lines above name, then make run "
            f"DAG={dag_id}. The whole log is {log}."
        ),
        soft_wrap=True,
    )


def _error(progress: Progress, task: TaskChanged) -> str:
    return progress.rows.get(task.label, TaskRow(task.label)).error


def task_log(log: Path, row: TaskRow | None) -> list[str]:
    """Return the last lines that one task instance wrote in its last try."""
    if row is None:
        return []
    text = ""
    with log.open("rb") as file:
        for start, end in row.log:
            file.seek(start)
            text += file.read(end - start).decode(errors="replace")
    text = _LIBRARY_FRAME.sub("", text)
    lines = [line for line in text.splitlines() if not any(noise in line for noise in _NOISE)]
    return lines[-LOG_LINES:]


def _tasks(end: DagRunFinished, progress: Progress) -> Table:
    table = Table("", "Task", "State", "Seconds", "Tries", box=None, header_style="dim")
    table.columns[3].justify = table.columns[4].justify = "right"
    for task in end.tasks:
        row = progress.rows.get(task.label, TaskRow(task.label))
        tries = str(task.try_number) if row.began else ""
        seconds = f"{row.seconds:.1f}" if row.began else ""
        state = words(task.state)
        table.add_row(MARKS.get(task.state, ""), Text(task.label), state, seconds, tries)
    return table


def _rows_per_table(rows: dict[str, dict[str, int]]) -> Table:
    table = Table("", "Rows", *rows, box=None, header_style="dim")
    for column in table.columns[2:]:
        column.justify = "right"
    for name in dict.fromkeys(name for counts in rows.values() for name in counts):
        cells = (f"{counts[name]:,}" if name in counts else "" for counts in rows.values())
        table.add_row("", Text(name), *cells)
    return table


def _numbers(value: dict[str, Any]) -> str:
    def text(number: object) -> str:
        return f"{number:,.4g}" if isinstance(number, float) else str(number)

    return ", ".join(f"{name.replace('_', ' ')} {text(number)}" for name, number in value.items())


def _nodes(result: DbtCloudResult) -> str:
    return "".join(f"{part}, " for part in _node_counts(result))


def _node_counts(result: DbtCloudResult) -> Iterator[str]:
    for kind, statuses in sorted(result.nodes.items()):
        good, bad = _NODE_WORDS.get(kind, (f"{kind} done", f"{kind} failed"))
        passed = sum(count for status, count in statuses.items() if status in _GOOD)
        skipped = statuses.get("skipped", 0)
        failed = sum(statuses.values()) - passed - skipped
        yield f"{passed} {good}"
        if failed:
            yield f"{failed} {bad}"
        if skipped:
            yield f"{skipped} {kind}s skipped"


def _all(value: dict[str, Any], kind: type | tuple[type, ...]) -> bool:
    return all(isinstance(each, kind) and not isinstance(each, bool) for each in value.values())
