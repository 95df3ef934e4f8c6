"""A task per model, by four methods, which take turns on one Airflow.

`by_job` is our task group over the local dbt Cloud; the others are this repository's Dags with dbt
Core: Cosmos with a sensor per model (`WATCHER`), Cosmos with a dbt per model (`LOCAL`), and one
task for all models. They run dbt through a script that counts its calls. A benchmark takes ten
minutes to an hour, so it only runs if it is named.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.generated_project import write_project
from benchmarks.observed import Cost, measured_cost
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.variants import write_variant

BY_MODEL, IN_ONE_TASK = "run_dbt_core_model_by_model", "run_dbt_core_in_one_task"
DBT_CLOUD = "local-dbt-cloud"
PRODUCER = "jaffle_shop.dbt_producer_watcher"  # the task that runs dbt for all sensors
OURS, SENSORS, BASH, LOCAL = "by_job", "by_watcher", "by_bash", "by_local"
COUNTED = {'ROOT / "dbt_venv" / "bin" / "dbt"': 'ROOT / "counted_dbt"'}
WATCHER = {"EXECUTION_MODE = ExecutionMode.LOCAL": "EXECUTION_MODE = ExecutionMode.WATCHER"}
# Dag → the Dag that it copies, and the changes to the copy.
DAGS: dict[str, tuple[str, dict[str, str]]] = {
    OURS: ("show_models_as_tasks", {}),
    SENSORS: (BY_MODEL, COUNTED | WATCHER),
    BASH: (IN_ONE_TASK, COUNTED),
    LOCAL: (BY_MODEL, COUNTED),
}
# Further changes for a generated project, which has no tests and needs no pool.
POOL = {'POOL = "warehouse"': 'POOL = "default_pool"'}
GENERATED = {IN_ONE_TASK: POOL, BY_MODEL: POOL | {"TestBehavior.AFTER_ALL": "TestBehavior.NONE"}}
DAG_RUN_SECONDS = 7200.0  # time limit
MAX_MODELS = {SENSORS: 185, LOCAL: 100}  # with more a round takes most of an hour
COUNTING_SCRIPT = """\
#!/bin/bash
# Runs dbt, and appends the CPU seconds that it used.
'{dbt}' "$@"
code=$?
times >> '{file}'
exit $code
"""


@dataclass(frozen=True)
class Round:
    """``wall`` and ``tail`` (from dbt's end to that of the Dag run) in seconds."""

    wall: float
    tail: float
    cost: Cost
    airflow_cpu: float
    dbt_cpu: float
    dbt_commands: int
    parse: float


def measure(size: int, seconds: int, rounds: int) -> Iterator[Figure]:
    """Compare the Dags; ``size`` 0 is jaffle_shop with its tests, ``seconds`` is per model."""
    with tempfile.TemporaryDirectory() as folder:
        project = prepare(Path(folder), size, seconds)
        with project.started():
            airflow = Airflow(project.port)
            taken = defaultdict(list)
            if size <= MAX_MODELS[LOCAL]:  # with more a round takes too long
                for dag in (OURS, BASH):
                    one_round(project, airflow, dag)  # so that dbt's parse cache is warm
            compared = [dag for dag in DAGS if size <= MAX_MODELS.get(dag, size)]
            for _ in range(rounds):
                for dag in compared:
                    taken[dag].append(one_round(project, airflow, dag))
                    print(f"    {dag}, load {os.getloadavg()[0]:.0f}: {taken[dag][-1]}", flush=True)
            for dag, of_dag in taken.items():
                yield from figures(dag, of_dag)


def figures(dag: str, rounds: list[Round]) -> Iterator[Figure]:
    yield Figure(f"{dag}: Dag run", [each.wall for each in rounds], "s")
    yield Figure(f"{dag}: from dbt's end to the Dag run's", [each.tail for each in rounds], "s")
    yield Figure(f"{dag}: CPU without dbt", [each.airflow_cpu for each in rounds], "s")
    yield Figure(f"{dag}: CPU of dbt", [each.dbt_cpu for each in rounds], "s")
    yield Figure(f"{dag}: worker slots", [each.cost.slots for each in rounds], "s")
    yield Figure(f"{dag}: dbt commands", [each.dbt_commands for each in rounds], "")
    yield Figure(f"{dag}: memory", [each.cost.memory for each in rounds], "MB")
    triggerer = [each.cost.triggerer_memory for each in rounds]
    yield Figure(f"{dag}: memory of the triggerer", triggerer, "MB")
    yield Figure(f"{dag}: to parse the Dag", [each.parse for each in rounds], "s")


def prepare(folder: Path, size: int, seconds: int) -> Project:
    """Return a copy of this repository with only the Dags to compare."""
    project = Project.copy_to(folder)
    include = project.root / "include"
    if size:
        lineage = include / "lineage" / "daily_build.json"
        write_project(include / "jaffle_shop", lineage, size, seconds)
    dbt = project.root / "counted_dbt"
    real = project.root / "dbt_venv" / "bin" / "dbt"
    dbt.write_text(COUNTING_SCRIPT.format(dbt=real, file=counts(project)))
    dbt.chmod(0o755)
    originals = [*(project.root / "dags").glob("*.py")]
    for dag, (original, changes) in DAGS.items():
        write_variant(
            project, original, dag, changes | (GENERATED.get(original, {}) if size else {})
        )
    for file in originals:
        file.unlink()
    return project


def counts(project: Project) -> Path:
    """Return the file with two lines per dbt command outside the local dbt Cloud."""
    return project.root / "counted"


def one_round(project: Project, airflow: Airflow, dag: str) -> Round:
    counted = counts(project)
    counted.unlink(missing_ok=True)
    with measured_cost(project, airflow) as cost:
        dag_run = airflow.trigger(dag)
        state = airflow.wait(dag, dag_run, DAG_RUN_SECONDS)
    assert state == "success", (dag, airflow.call("GET", f"/dags/{dag}/dagRuns/{dag_run}"))
    path = f"/dags/{dag}/dagRuns/{dag_run}"
    finished = airflow.call("GET", path)
    began, ended = (datetime.fromisoformat(finished[key]) for key in ("start_date", "end_date"))
    parse = airflow.call("GET", f"/dags/{dag}")["last_parse_duration"]
    cpu = dict(cost.cpu)
    if dag == OURS:
        steps = [step for step in newest_run(project)["run_steps"] if step["run_step_command"]]
        dbt_ended = datetime.fromisoformat(steps[-1]["finished_at"])
        dbt_cpu, commands = cpu.pop(DBT_CLOUD), len(steps)
    else:
        lines = counted.read_text().splitlines()[1::2]  # the first line is bash's own
        dbt_ended = datetime.fromtimestamp(counted.stat().st_mtime, UTC)
        dbt_cpu, commands = sum(map(cpu_seconds, lines)), len(lines)
        cpu[DBT_CLOUD] = -dbt_cpu  # it ran in Airflow's tasks
    if dag == SENSORS:  # if a sensor fails, it runs dbt again
        producer = airflow.call("GET", f"{path}/taskInstances/{PRODUCER}")
        dbt_ended = datetime.fromisoformat(producer["end_date"])
    wall, tail = (ended - began).total_seconds(), (ended - dbt_ended).total_seconds()
    return Round(wall, tail, cost, sum(cpu.values()), dbt_cpu, commands, parse)


def newest_run(project: Project) -> dict[str, Any]:
    (run,) = project.dbt_runs(limit=1, include_related="run_steps")
    return run


def cpu_seconds(line: str) -> float:
    """Return the CPU seconds of a command in bash's ``times``: ``0m3.210s 0m0.530s``."""
    parts = [word.rstrip("s").split("m") for word in line.split()]
    return sum(60 * float(minutes) + float(seconds) for minutes, seconds in parts)
