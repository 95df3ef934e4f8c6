"""One of Airflow's components, as `airflow NAME` runs it.

What a component builds first stays until it ends, and Python would look through it for garbage
again and again: looking seldom saves a quarter of the start, and of the start of each task.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

import psutil

from include.local_airflow.airflow.internals import main

SELDOM = (50_000, 20, 50)  # new objects, then rounds of each generation
IDLE = "LocalExecutor: <idle>"


def end_idle_orphans() -> None:
    """End what a killed scheduler has left: processes of a LocalExecutor that wait for a task.

    Those that run a task end by themselves.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if _is_idle_orphan(process):
                process.kill()


def _is_idle_orphan(process: psutil.Process) -> bool:
    here = os.getsid(0)
    return bool(
        os.getsid(process.pid) == here
        and IDLE in " ".join(process.cmdline())
        and os.getsid(process.ppid()) != here
    )


if __name__ == "__main__":
    gc.set_threshold(*SELDOM)
    if sys.argv[1] == "scheduler":
        end_idle_orphans()
    sys.argv[0] = "airflow"
    main()  # type: ignore[no-untyped-call]  # Airflow's has no types
