"""What dbt's log tells of its nodes while it runs.

dbt Core and Fusion write different lines, and neither promises them to anybody. So a line that
cannot be read tells nothing, and ``run_results.json`` has the last word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# "3 of 12 OK created sql table model analytics.orders ......... [OK in 0.31s]"
CORE = re.compile(
    r"^(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+)?\d+ of \d+ "
    r"(?P<said>START|OK|PASS|WARN|FAIL|ERROR|SKIP|NO-OP|REUSED|PARTIALLY)\b"
    r"(?P<what>.*?)\s+\.*\s*\[(?P<ending>[^\[\]]*)\]\s*$"
)
# " Succeeded [  0.98s] model analytics.orders (table)"
FUSION = re.compile(
    r"^(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+)?\s*"
    r"(?P<said>Started|Succeeded|Passed|Warned|Failed|Errored|Skipped|Reused|No-op)"
    r"(?:\s+\[\s*(?P<seconds>[\d.]+)s\])?\s+"
    r"(?P<kind>model|test|unit_test|unit test|seed|snapshot|function)\s+(?P<label>\S+)"
)
# Each said as `run_results.json` says it.
STATUSES = {
    "START": "started",
    "OK": "success",
    "PASS": "pass",
    "WARN": "warn",
    "FAIL": "fail",
    "ERROR": "error",
    "SKIP": "skipped",
    "NO-OP": "no-op",
    "REUSED": "reused",
    "PARTIALLY": "partial success",
    "Started": "started",
    "Succeeded": "success",
    "Passed": "pass",
    "Warned": "warn",
    "Errored": "error",
    "Skipped": "skipped",
    "Reused": "reused",
    "No-op": "no-op",
}
COLOR = re.compile(r"\x1b\[[0-9;]*m")
LINES_OF_MESSAGE = 12


@dataclass(frozen=True)
class Said:
    """One line about a node; ``status`` is ``started`` or one of ``run_results.json``."""

    label: str
    status: str
    seconds: float
    line: str
    rows: int | None = None


def read_log(text: str) -> dict[str, Said]:
    """Label → the last that was said of it."""
    lines = (read_line(line) for line in COLOR.sub("", text).splitlines())
    return {said.label: said for said in lines if said}


def read_line(line: str) -> Said | None:
    if core := CORE.match(line):
        words, ending = core["what"].split(), core["ending"]
        if not words:
            return None
        seconds = re.search(r" in ([\d.]+)s$", ending)
        rows = re.search(r"(\d+) in [\d.]+s$", ending)
        return Said(
            label=words[-1],
            status=STATUSES[core["said"]],
            seconds=float(seconds[1]) if seconds else 0.0,
            line=line.strip(),
            rows=int(rows[1]) if rows else None,
        )
    if fusion := FUSION.match(line):
        failed = "fail" if "test" in fusion["kind"] else "error"
        status = STATUSES.get(fusion["said"], failed)
        return Said(fusion["label"], status, float(fusion["seconds"] or 0), line.strip())
    return None


def message_about(name: str, text: str) -> str:
    """What dbt says about a node that failed, if the log has it already."""
    found = re.search(rf"((?:\w+ Error|Failure) in \w+ {re.escape(name)} \(.*)", text, re.DOTALL)
    if not found:
        return ""
    first, *rest = found[1].splitlines()[:LINES_OF_MESSAGE]
    lines = [first]
    for line in rest:
        if re.match(r"\d\d:\d\d:\d\d", line):
            break
        lines.append(line)
    return "\n".join(lines).strip()
