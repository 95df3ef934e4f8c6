"""Read the exception of a failed task from the end of its log.

Airflow passes no exception to the callback of a Dag run, or of a task that its trigger ended. If
the log is on this machine's disk, the exception or the last logged error is read from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import Any

from jinja2 import Template

from ..airflow.compat import conf
from ..api.loose_json import record, records, text

MAX_ERROR = 2000  # characters of an exception's text


def error_in_log(ti: Any) -> str:
    """Return the last exception of the task's last try, or the log's URL if it is not local."""
    fallback = f"The exception is in the task's log: {ti.log_url}"
    return next(errors(lines_of_log(ti)), fallback)[:MAX_ERROR]


def lines_of_log(ti: Any) -> list[str]:
    """Return the log lines of the task's process, then of its triggers."""
    template = Template(conf.get("logging", "log_filename_template"))
    name = template.render(ti=ti, try_number=ti.try_number)
    file = Path(conf.get("logging", "base_log_folder")) / name
    triggers = file.parent.glob(f"{escape(file.name)}.trigger.*.log")
    files = (one for one in (file, *sorted(triggers)) if one.is_file())
    return [line for one in files for line in one.read_text(errors="replace").splitlines()]


def errors(lines: list[str]) -> Iterator[str]:
    """Yield exceptions, then logged errors, the last ones first, from Airflow's JSON lines."""
    entries = [record(entry) for line in reversed(lines) if (entry := json_of(line))]
    for entry in entries:
        if exceptions := records(entry.get("error_detail")):
            yield f"{exceptions[0].get('exc_type')}: {exceptions[0].get('exc_value')}"
    yield from (text(entry.get("event")) for entry in entries if entry.get("level") == "error")


def json_of(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
