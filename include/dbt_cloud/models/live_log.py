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
# The debug log: "18:54:07.123456 [debug] [Thread-2 (worker)]: ", then lines up to the next such.
EVENT = re.compile(r"^(?:[\d-]+ )?\d\d:\d\d:\d\d[.\d]* \[\w+ *\] \[[^\]]+\]: ", re.MULTILINE)
SENT = re.compile(r"On (?P<unique_id>\S+): (?:/\*.*?\*/)?(?P<sql>.+\s.+)", re.DOTALL)
FAILED = re.compile(
    r"Marking all children of '(?P<unique_id>[^']+)' to be skipped because of status "
    r"'(?!skipped)[^']+'\.\s+Reason: (?P<message>.+)\.\s*",
    re.DOTALL,
)


def without_database(relation: str) -> str:
    """``schema.identifier``: dbt names the database only where it is not the profile's own."""
    return ".".join(relation.split(".")[-2:])


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
            label=without_database(words[-1]),
            status=STATUSES[core["said"]],
            seconds=float(seconds[1]) if seconds else 0.0,
            line=line.strip(),
            rows=int(rows[1]) if rows else None,
        )
    if fusion := FUSION.match(line):
        failed = "fail" if "test" in fusion["kind"] else "error"
        status = STATUSES.get(fusion["said"], failed)
        label = without_database(fusion["label"])
        return Said(label, status, float(fusion["seconds"] or 0), line.strip())
    return None


@dataclass(frozen=True)
class Failure:
    """Why a node failed, and the last SQL that dbt sent to the warehouse for it."""

    message: str
    sql: str = ""


def read_failures(debug_log: str) -> dict[str, Failure]:
    """Unique id → why dbt Core lets everything after it wait, as it says right after it failed.

    The log itself has these messages only at its end.
    """
    found: dict[str, Failure] = {}
    sent: dict[str, str] = {}
    for event in EVENT.split(COLOR.sub("", debug_log)):
        if sql := SENT.fullmatch(event):
            sent[sql["unique_id"]] = sql["sql"].strip()
        elif failed := FAILED.fullmatch(event):
            unique_id = failed["unique_id"]
            found[unique_id] = Failure(failed["message"].strip(), sent.get(unique_id, ""))
    return found
