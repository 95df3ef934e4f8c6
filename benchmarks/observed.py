"""The cost of a Dag run: CPU of all processes, their peak memory, and worker slots."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project

PAUSE = 2.0  # seconds between two samples


@dataclass
class Cost:
    """CPU seconds of each component, peak memory in MB, and seconds of worker slots."""

    cpu: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    triggerer_memory: float = 0.0
    slots: float = 0.0
    over: threading.Event = field(default_factory=threading.Event, repr=False)


@contextmanager
def measured_cost(project: Project, airflow: Airflow) -> Iterator[Cost]:
    """Yield the cost of the block, which is complete once the block has ended."""
    cost = Cost()
    watching = threading.Thread(target=watch, args=(project, airflow, cost))
    before = cpu_seconds(project)
    watching.start()
    try:
        yield cost
    finally:
        cost.over.set()
        watching.join()
    after = cpu_seconds(project)
    cost.cpu = {name: round(seconds - before.get(name, 0.0), 1) for name, seconds in after.items()}


def watch(project: Project, airflow: Airflow, cost: Cost) -> None:
    sampled = time.monotonic()
    while not cost.over.wait(PAUSE):
        held = sum(pool["running_slots"] for pool in airflow.call("GET", "/pools")["pools"])
        now = time.monotonic()
        cost.slots += held * (now - sampled)
        sampled = now
        sizes = {name: memory(family) for name, family in families(project).items()}
        cost.memory = max(cost.memory, sum(sizes.values()) / 1e6)
        cost.triggerer_memory = max(cost.triggerer_memory, sizes["triggerer"] / 1e6)


def families(project: Project) -> dict[str, list[psutil.Process]]:
    """Return component → its process with all descendants."""
    found = {}
    for name, state in project.states().items():
        parent = psutil.Process(state.pid)
        found[name] = [parent, *parent.children(recursive=True)]
    return found


def cpu_seconds(project: Project) -> dict[str, float]:
    """Return the CPU seconds of running processes and of their ended children."""
    found = {}
    for name, family in families(project).items():
        found[name] = 0.0
        for process in family:
            with suppress(psutil.Error):  # it has ended
                found[name] += sum(process.cpu_times()[:4])
    return found


def memory(family: list[psutil.Process]) -> int:
    """Return the memory of the processes; shared pages are counted once (PSS)."""
    size = 0
    for process in family:
        with suppress(psutil.Error):  # it has ended
            size += process.memory_full_info().pss
    return size
