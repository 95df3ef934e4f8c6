"""What a killed scheduler has left.

A LocalExecutor's processes outlive their scheduler: those that run a task end it well, those that
wait for one would wait for ever.
"""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

IDLE = "LocalExecutor: <idle>"


def end_idle_orphans() -> None:
    """End those of this session that have lost their scheduler and run no task."""
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
