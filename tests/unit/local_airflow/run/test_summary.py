from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from include.local_airflow.run.events import (
    DagRunFinished,
    DbtCloudResult,
    DbtCloudStep,
    Outcome,
    TaskChanged,
)
from include.local_airflow.run.progress import Progress
from include.local_airflow.run.summary import print_summary, task_log

URL = "https://localhost:8580/deploy/16173/projects/36467/runs/7/"


def change(task: str, state: str, **more: int) -> TaskChanged:
    fields: dict[str, Any] = {"task_id": task, "state": state, "try_number": 1, **more}
    return TaskChanged(**fields)


def printed(end: DagRunFinished) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    print_summary(console, "a_dag", end, Progress(console), 12.34)
    return console.export_text()


def test_print_summary_shows_counts_as_columns_and_numbers_in_a_line() -> None:
    text = printed(
        DagRunFinished(
            state="success",
            tasks=[change("extract", "success")],
            returned={
                "extract": {"orders": 15740},
                "load": {"orders": 15740, "stores": 6},
                "train_model": {"rows": 763, "mean_absolute_error": 41.9234},
            },
        )
    )
    assert ["orders", "15,740", "15,740"] in [line.split() for line in text.splitlines()]
    assert ["stores", "6"] in [line.split() for line in text.splitlines()]
    assert "train_model: rows 763, mean absolute error 41.92" in text
    assert "Dag run a_dag succeeded in 12.3 s." in text


def test_print_summary_counts_built_and_failed_nodes_once() -> None:
    nodes: dict[str, dict[Outcome, int]] = {
        "model": {"passed": 10, "failed": 1, "skipped": 1},
        "test": {"passed": 12},
    }
    text = printed(
        DagRunFinished(
            state="failed",
            tasks=[change("trigger", "failed")],
            dbt_cloud=[DbtCloudResult(label=name, url=URL, nodes=nodes) for name in ("a", "b")],
        )
    )
    counts = "10 models built, 1 models failed, 1 models skipped, 12 tests passed"
    assert text.count(counts) == 1
    assert URL in text
    assert "Dag run a_dag failed" in text


def test_print_summary_omits_other_return_values() -> None:
    returned = {"a": {"list": [1]}, "b": {}, "c": {"is_new": True}}
    text = printed(DagRunFinished(state="success", tasks=[], returned=returned))
    assert text.strip().endswith("Dag run a_dag succeeded in 12.3 s.")
    assert "Rows" not in text
    assert "list" not in text


def test_task_log_contains_only_the_last_try(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\nfirst try\nbetween\nwaits\nother\nsecond try\nafter\n")
    progress = Progress(Console(quiet=True))
    for task, state, tried, position in (
        ("load", "running", 1, 7),
        ("load", "up_for_retry", 1, 17),
        ("load", "running", 2, 25),
        ("other", "running", 1, 31),  # while the first task waits
        ("other", "success", 1, 37),
        ("load", "running", 2, 37),  # resumes after its trigger fired
        ("load", "failed", 2, 48),
    ):
        progress.handle(change(task, state, try_number=tried, log_position=position))
    assert task_log(log, progress.rows["load"]) == ["waits", "second try"]
    assert task_log(log, progress.rows["other"]) == ["other"]


def test_task_log_omits_frames_inside_airflow(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "Traceback (most recent call last):\n"
        '  File "/x/.venv/lib/python3.11/site-packages/airflow/sdk/runner.py", line 1, in run\n'
        "    go()\n"
        '  File "/x/dags/a_dag.py", line 2, in load\n'
        "    raise ValueError\n"
        "ValueError\n"
    )
    progress = Progress(Console(quiet=True))
    progress.handle(change("load", "running"))
    progress.handle(change("load", "failed", log_position=log.stat().st_size))
    lines = task_log(log, progress.rows["load"])
    assert lines[1] == '  File "/x/dags/a_dag.py", line 2, in load'
    assert len(lines) == 4


def test_progress_has_a_row_per_mapped_task_and_drops_steps_of_ended_tasks() -> None:
    progress = Progress(Console(quiet=True))
    for index in (0, 1):
        progress.handle(change("square", "success", map_index=index))
    assert list(progress.rows) == ["square [0]", "square [1]"]
    progress.handle(change("trigger", "running"))
    progress.handle(DbtCloudStep(label="trigger", run_id=7, text="Running: dbt build"))
    assert progress.rows["trigger"].detail == "dbt Cloud run 7 Running: dbt build"
    progress.handle(change("trigger", "success"))
    progress.handle(DbtCloudStep(label="trigger", run_id=7, text="Success: dbt build"))
    assert progress.rows["trigger"].detail == "dbt Cloud run 7"
    assert progress.dbt_cloud == "dbt Cloud run 7 Success: dbt build"
