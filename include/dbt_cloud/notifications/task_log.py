"""The exception of a failed task, from the end of its log.

Airflow tells a callback of a whole Dag run which task failed, and not by which exception. Where the
log is on this machine's disk the exception is read from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Template

from ..airflow_compat import conf

MAX_ERROR = 2000  # characters of an exception's text


def error_in_log(ti: Any) -> str:
    """The last exception of the task's last try; where to look for it, if the log is elsewhere."""
    elsewhere = f"The exception is in the task's log: {ti.log_url}"
    return next(errors(lines_of_log(ti)), elsewhere)[:MAX_ERROR]


def lines_of_log(ti: Any) -> list[str]:
    template = Template(conf.get("logging", "log_filename_template"))
    name = template.render(ti=ti, try_number=ti.try_number)
    file = Path(conf.get("logging", "base_log_folder")) / name
    return file.read_text(errors="replace").splitlines() if file.is_file() else []


def errors(lines: list[str]) -> Iterator[str]:
    """The exceptions of a log as Airflow writes it, one JSON object a line; the last one first."""
    for line in reversed(lines):
        try:
            exceptions = json.loads(line)["error_detail"]
            yield f"{exceptions[0]['exc_type']}: {exceptions[0]['exc_value']}"
        except (ValueError, KeyError, IndexError, TypeError):
            continue
