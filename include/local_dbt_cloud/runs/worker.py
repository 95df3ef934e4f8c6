"""Run dbt commands in a warm process; ``worker_process.py`` starts it with dbt's Python.

Input is one JSON request per line: ``{"arguments", "folder", "environment", "logs",
"debug_logs"}``. Output is one JSON line each, ``{"success"}``. The process ends when its input
ends, even during a command, so that it never outlives the server.

dbt is imported once (4 s); a command then takes 0.3 to 1 s instead of 4.5 s. dbt 2.0 is a program
in Rust, which starts in milliseconds. This file imports nothing of this project, because dbt has
its own environment.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, chdir
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, TextIO

GLOBAL_FLAGS = [
    "--log-level=none",  # the callback writes the logs
    "--log-level-file=none",
    "--no-use-colors",
    "--no-version-check",
    "--no-send-anonymous-usage-stats",
]
PROGRAM = Path(sys.executable).with_name("dbt")
PROGRAM_FLAGS = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_DISABLE_VERSION_CHECK": "true"}
PROGRAM_LOG = "dbt.log"  # in the folder of DBT_LOG_PATH, with levels and times


def main() -> None:
    """Execute requests until the input ends; the first line reports that dbt is imported."""
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep what dbt or a macro prints out of the responses
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=read_requests, args=(sys.stdin, requests), daemon=True).start()
    dbt_version = version("dbt-core")
    run = imported_dbt() if dbt_version.startswith("1.") else run_program
    respond(output, dbt_version=dbt_version)
    while True:
        respond(output, success=run(json.loads(requests.get())))


def run_program(request: dict[str, Any]) -> bool:
    """Run one command of dbt 2.0, which writes its debug log itself."""
    debug_logs = Path(request["debug_logs"])
    debug_logs.symlink_to(PROGRAM_LOG)
    debug_logs.touch()
    with open(request["logs"], "w") as logs:
        done = subprocess.run(
            [PROGRAM, *request["arguments"]],
            cwd=request["folder"],
            env=os.environ | PROGRAM_FLAGS | request["environment"],
            stdin=subprocess.DEVNULL,
            stdout=logs,
            stderr=subprocess.STDOUT,
        )
    return done.returncode == 0


def imported_dbt() -> Callable[[dict[str, Any]], bool]:
    from dbt.cli.main import dbtRunner  # 4 s, so only once the input is being watched
    from dbt.deprecations import reset_deprecations
    from dbt_common.events.functions import reset_metadata_vars

    gc.freeze()  # exclude what was imported from later collections

    def run(request: dict[str, Any]) -> bool:
        # Else artifacts have the variables of the process's first command, and logs its warnings.
        reset_metadata_vars()
        reset_deprecations()
        success = invoke(dbtRunner, request)
        gc.collect()  # a cursor in a reference cycle would keep the warehouse locked
        return success

    return run


def read_requests(lines: TextIO, requests: queue.Queue[str]) -> None:
    for line in lines:
        requests.put(line)
    os.killpg(0, signal.SIGKILL)  # this process and its children, such as git


def respond(output: IO[str], **fields: Any) -> None:
    output.write(json.dumps(fields) + "\n")
    output.flush()


def invoke(runner: Any, request: dict[str, Any]) -> bool:
    """Run one dbt command and write its logs as it runs."""
    before = dict(os.environ)
    os.environ.update(request["environment"])
    with ExitStack() as stack:
        stack.enter_context(chdir(request["folder"]))
        logs = stack.enter_context(open(request["logs"], "w", buffering=1))
        debug_logs = stack.enter_context(open(request["debug_logs"], "w", buffering=1))
        log = EventLog(logs, debug_logs)
        try:
            result = runner(callbacks=[log.write]).invoke(GLOBAL_FLAGS + request["arguments"])
        finally:
            close_warehouse()
            os.environ.clear()
            os.environ.update(before)
        if result.exception and not log.has_error:
            log.write_line(f"{type(result.exception).__name__}: {result.exception}")
    return bool(result.success)


def close_warehouse() -> None:
    """Close DuckDB's connections, which would lock the warehouse until the process ends."""
    if connections := sys.modules.get("dbt.adapters.duckdb.connections"):
        connections.DuckDBConnectionManager.close_all_connections()


class EventLog:
    """Writes dbt's events to two logs: one for people, and one with all threads and levels."""

    def __init__(self, logs: IO[str], debug_logs: IO[str]) -> None:
        self._logs = logs
        self._debug_logs = debug_logs
        self._lock = threading.Lock()  # models run in threads
        self.has_error = False

    def write(self, event: Any) -> None:
        from dbt_common.events.functions import env_scrubber

        info = event.info
        moment, text = info.ts.ToDatetime(), env_scrubber(info.msg)  # without DBT_ENV_SECRET…
        with self._lock:
            self.has_error = self.has_error or info.level == "error"
            if info.level != "debug":
                self._logs.write(f"{moment:%H:%M:%S}  {text}\n")
            self._debug_logs.write(
                f"{moment:%H:%M:%S.%f} [{info.level:<5}] [{info.thread:<10}]: {text}\n"
            )

    def write_line(self, text: str) -> None:
        with self._lock:
            for log in (self._logs, self._debug_logs):
                log.write(f"{datetime.now(UTC):%H:%M:%S}  {text}\n")


if __name__ == "__main__":
    main()
