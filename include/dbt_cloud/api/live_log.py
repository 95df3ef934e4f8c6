"""What dbt's log tells of its nodes while it runs.

dbt Core and Fusion write different lines, and neither promises them to anybody. So a line that
cannot be read tells nothing, and ``run_results.json`` has the last word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .artifacts import GOOD, has_failed

# "3 of 12 OK created sql table model analytics.orders ......... [OK in 0.31s]"
CORE = re.compile(
    r"^(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+)?\d+ of \d+ "
    r"(?P<said>START|OK|PASS|WARN|FAIL|ERROR|SKIP|NO-OP|REUSED|PARTIALLY)\b"
    r"(?P<what>.*?)\s+\.*\s*\[(?P<ending>[^\[\]]*)\]\s*$"
)
# Of these, dbt Core's log has lines too. What follows them is not what a node is called.
NOT_NODES = {"exposure", "query", "saved_query", "freshness", "hook:"}
UNCHANGED = re.compile(r"no new changes\b", re.IGNORECASE)  # what dbt State has not built again
# " Succeeded [  0.98s] model analytics.orders (table)", "   Skipped [-------] test  unique_orders"
FUSION = re.compile(
    r"^(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+)?\s*"
    r"(?P<said>Started|Succeeded|Passed|Warned|Failed|Errored|Skipped|Reused|No-op)"
    r"(?:\s+\[(?P<ending>[^\[\]]*)\])?\s+"
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
TIME = re.compile(r"(?P<number>[\d.]+)(?P<unit>ms|s|m|h)(?![a-z])")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
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

    @property
    def has_failed(self) -> bool:
        return self.status != "started" and has_failed(self.status)


def label_of(unique_id: str, name: str, relation: str) -> str:
    """Return what the log calls a node; of unit tests dbt 2.0 does not name the model.

    ``relation`` is ``database.schema.identifier``, or without the database; empty for tests.
    """
    if unique_id.startswith("unit_test."):
        return "".join(unique_id.split(".")[3:4])
    return without_database(relation) or name


def read_log(text: str) -> dict[str, Said]:
    """Label → the last that was said of it."""
    return {said.label: said for said in read_lines(text)}


def unfinished_in(text: str) -> Counter[str]:
    """Label → how many nodes of it have failed, were skipped, or have begun and not ended."""
    said = list(read_lines(text))
    begun = Counter(one.label for one in said if one.status == "started")
    ended = Counter(one.label for one in said if one.status != "started")
    bad = Counter(one.label for one in said if one.status not in {"started", *GOOD})
    return bad + (begun - ended)


def read_lines(text: str) -> Iterator[Said]:
    lines = (read_line(line) for line in COLOR.sub("", text).splitlines())
    return (said for said in lines if said)


def read_line(line: str) -> Said | None:
    """Return what a line says of a node; None if it is not sure which node that is."""
    if core := CORE.match(line):
        return _read_core(core)
    if fusion := FUSION.match(line):
        return _read_fusion(fusion)
    return None


def _read_core(core: re.Match[str]) -> Said | None:
    """Read a line of dbt Core.

    ``SKIP relation`` is followed by the model's name, without version and not as its alias, which
    can be what another model's table is called.
    """
    said, words, ending = core["said"], core["what"].split(), core["ending"]
    is_skipped_test = said == "SKIP" and words[:-1] == ["test"]
    if not words or NOT_NODES & set(words[:-1]) or (said == "SKIP" and not is_skipped_test):
        return None
    rows = re.search(r"(\d+) in [\d.]+s$", ending)
    return Said(
        label=without_database(words[-1].rpartition("::")[2]),
        status="reused" if UNCHANGED.match(ending) else STATUSES[said],
        seconds=seconds_in(ending),
        line=core.string.strip(),
        rows=int(rows[1]) if rows else None,
    )


def _read_fusion(fusion: re.Match[str]) -> Said:
    """Read a line of dbt 2.0, which may put a schema before a test's name."""
    is_test = "test" in fusion["kind"]
    label = fusion["label"]
    return Said(
        label=label.rpartition(".")[2] if is_test else without_database(label),
        status=STATUSES.get(fusion["said"], "fail" if is_test else "error"),
        seconds=seconds_in(fusion["ending"] or ""),
        line=fusion.string.strip(),
    )


def seconds_in(ending: str) -> float:
    """Return how long it took: 0.31 of ``OK in 0.31s``, 139 of ``2m19s``.

    >>> seconds_in("  2m19s"), seconds_in("INSERT 249 in 0.06s"), seconds_in("-------")
    (139.0, 0.06, 0.0)
    """
    parts = TIME.finditer(ending.rpartition(" in ")[2])
    return sum(float(part["number"]) * SECONDS[part["unit"]] for part in parts)


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
