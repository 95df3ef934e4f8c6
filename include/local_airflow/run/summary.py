"""The output after a Dag run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.local_airflow.run.events import DagRunFinished, DbtCloudResult, TaskChanged
from include.local_airflow.run.progress import MARKS, Progress, TaskRow, state_text

LOG_LINES = 25
_NOISE = (
    "[airflow.api_fastapi.execution_api.",
    "[airflow.sdk.api.client]",
    "::group::",
    "::endgroup::",
    "[py.warnings]",
)
# Traceback frames in Python and installed packages, which bury the user's own.
_LIBRARY_FRAME = re.compile(r'^  File "[^"]*/lib/python3\.\d+/.*\n(?:    .*\n)*', re.MULTILINE)
# Airflow's log lines for a task that skips itself, for a task that skips its downstream tasks, and
# for a message from a Dag file's logger.
_SKIPS_ITSELF = re.compile(r"Skipping task\. .*reason=(.+)")
_SKIPS_OTHERS = "Skipping downstream tasks."
_LOG_MESSAGE = re.compile(r"\] (.+?) +\[unusual_prefix_")
_NODE_TEXTS = {
    "model": ("models built", "models failed"),
    "test": ("tests passed", "tests failed"),
    "unit_test": ("unit tests passed", "unit tests failed"),
    "seed": ("seeds loaded", "seeds failed"),
    "snapshot": ("snapshots taken", "snapshots failed"),
}


def print_summary(
    console: Console, dag_id: str, end: DagRunFinished, progress: Progress, seconds: float
) -> None:
    """Print tasks, row counts, numbers and dbt Cloud runs; omit empty parts."""
    console.print(_tasks(end, progress))
    rows = {task: value for task, value in end.returned.items() if value and _has_only(value, int)}
    if rows:
        console.print(_rows_per_table(rows))
    for task, value in end.returned.items():
        if task not in rows and value and _has_only(value, (int, float, str)):
            console.print(Text(f"{task}: {_numbers(value)}"), soft_wrap=True)
    # Two tasks may report the same run.
    for line in dict.fromkeys(f"{_nodes(result)}{result.url}" for result in end.dbt_cloud):
        console.print(Text(f"dbt Cloud run: {line}"), soft_wrap=True)
    verdict = "[green]succeeded" if end.state == "success" else f"[red]{end.state}"
    console.print(f"Dag run {dag_id} {verdict}[/] in {seconds:.1f} s.")


def print_skips(console: Console, end: DagRunFinished, progress: Progress, log: Path) -> None:
    """Print the reasons for skipped tasks that the log contains."""
    for task in end.tasks:
        text = "\n".join(task_log(log, progress.rows.get(task.label)))
        if reason := _SKIPS_ITSELF.search(text):
            quoted = reason[1].strip("'\"")
            console.print(Text(f"{task.label} was skipped: {quoted}"), soft_wrap=True)
        elif _SKIPS_OTHERS in text:
            last = "".join(f": {message}" for message in _LOG_MESSAGE.findall(text)[-1:])
            console.print(Text(f"Tasks after {task.label} were skipped{last}"), soft_wrap=True)


def print_failures(
    console: Console, dag_id: str, end: DagRunFinished, progress: Progress, log: Path
) -> None:
    """Print the failed tasks, the end of their logs, and the next step."""
    urls = {result.label: result.url for result in end.dbt_cloud}
    for task in end.tasks:
        row = progress.rows.get(task.label)
        if task.state != "failed" or (row and row.advice):  # more helpful than the log
            continue
        console.rule(Text(f"Last log lines of {task.label}", style="red"), align="left")
        for line in task_log(log, row):
            console.print(Text(line), soft_wrap=True)
        if task.label in urls:
            console.print(Text(f"dbt Cloud run: {urls[task.label]}"), soft_wrap=True)
    console.rule(style="red")
    for advice in dict.fromkeys(row.advice for row in progress.rows.values() if row.advice):
        console.print(Text(f"{advice} Run make doctor for details.", style="bold"), soft_wrap=True)
    failed = " and ".join(
        f"{task.label} ({error})" if (error := _error(progress, task)) else task.label
        for task in end.tasks
        if task.state == "failed"
    )
    console.print(
        Text(
            f"Failed: {failed or dag_id}. Correct the cause above, then run make run DAG={dag_id}. "
            f"Full log: {log}."
        ),
        soft_wrap=True,
    )


def _error(progress: Progress, task: TaskChanged) -> str:
    return progress.rows.get(task.label, TaskRow(task.label)).error


def task_log(log: Path, row: TaskRow | None) -> list[str]:
    """Return the last log lines of a task instance's last try."""
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
        tries = str(task.try_number) if row.started else ""
        seconds = f"{row.seconds:.1f}" if row.started else ""
        state = state_text(task.state)
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
    for kind, counts in sorted(result.nodes.items()):
        good, bad = _NODE_TEXTS.get(kind, (f"{kind} done", f"{kind} failed"))
        yield f"{counts.get('passed', 0)} {good}"
        if failed := counts.get("failed"):
            yield f"{failed} {bad}"
        if skipped := counts.get("skipped"):
            yield f"{skipped} {kind}s skipped"


def _has_only(value: dict[str, Any], kind: type | tuple[type, ...]) -> bool:
    return all(isinstance(each, kind) and not isinstance(each, bool) for each in value.values())
