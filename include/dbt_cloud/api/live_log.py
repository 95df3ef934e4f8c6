"""Read the state of nodes from dbt's log while it runs.

dbt Core and Fusion write different lines, and neither documents them. Unreadable lines are
therefore ignored, and ``run_results.json`` is authoritative.
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
    r"(?P<word>START|OK|PASS|WARN|FAIL|ERROR|SKIP|NO-OP|REUSED|PARTIALLY)\b"
    r"(?P<what>.*?)\s+\.*\s*\[(?P<ending>[^\[\]]*)\]\s*$"
)
# dbt Core logs these too. The word after them is not a node's name.
NOT_NODES = {"exposure", "query", "saved_query", "freshness", "hook:"}
UNCHANGED = re.compile(r"no new changes\b", re.IGNORECASE)  # reused by dbt State
# " Succeeded [  0.98s] model analytics.orders (table)", "   Skipped [-------] test  unique_orders"
FUSION = re.compile(
    r"^(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+)?\s*"
    r"(?P<word>Started|Succeeded|Passed|Warned|Failed|Errored|Skipped|Reused|No-op)"
    r"(?:\s+\[(?P<ending>[^\[\]]*)\])?\s+"
    r"(?P<kind>model|test|unit_test|unit test|seed|snapshot|function)\s+(?P<label>\S+)"
)
# Word of the log → status as in `run_results.json`.
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
# The debug log: "18:54:07.123456 [debug] [Thread-2 (worker)]: ", then lines until the next event.
EVENT = re.compile(r"^(?:[\d-]+ )?\d\d:\d\d:\d\d[.\d]* \[\w+ *\] \[[^\]]+\]: ", re.MULTILINE)
SENT = re.compile(r"On (?P<unique_id>\S+): (?:/\*.*?\*/)?(?P<sql>.+\s.+)", re.DOTALL)
FAILED = re.compile(
    r"Marking all children of '(?P<unique_id>[^']+)' to be skipped because of status "
    r"'(?!skipped)[^']+'\.\s+Reason: (?P<message>.+)\.\s*",
    re.DOTALL,
)
# The message of a microbatch model is only "ERROR" or "PARTIAL SUCCESS (2/3)". In the log the error
# is between "Batch 2 of 3 START batch 2026-09-02 of a.orders" and "Batch 2 of 3 ERROR creating".
FAILED_BATCH = re.compile(
    r"^.*\b(?P<batch>Batch \d+ of \d+) START batch (?P<start>\S+) of (?P<label>\S+).*\n"
    r"(?P<error>(?:(?!.*Batch \d+ of \d+ ).*\n)*)"
    r".*\b(?P=batch) ERROR .*$",
    re.MULTILINE,
)
BEFORE_ERROR = re.compile(
    r"(?:\d\d:\d\d:\d\d(?:\.\d+)?\s+)?"
    r"(?:Unhandled error while executing\s+)?(?:Exception on worker thread\. )?"
)


def without_database(relation: str) -> str:
    """Return ``schema.identifier``; dbt logs the database only if it is not the profile's."""
    return ".".join(relation.split(".")[-2:])


@dataclass(frozen=True)
class NodeLine:
    """One log line about a node; ``status`` is ``started`` or one of ``run_results.json``."""

    label: str
    status: str
    seconds: float
    line: str
    rows: int | None = None

    @property
    def has_failed(self) -> bool:
        return self.status != "started" and has_failed(self.status)


def label_of(unique_id: str, name: str, relation: str) -> str:
    """Return a node's name in the log; dbt 2.0 omits the model of a unit test.

    ``relation`` is ``database.schema.identifier`` or ``schema.identifier``; empty for tests.
    """
    if unique_id.startswith("unit_test."):
        return "".join(unique_id.split(".")[3:4])
    return without_database(relation) or name


def read_log(text: str) -> dict[str, NodeLine]:
    """Return label → the last line about it."""
    return {line.label: line for line in read_lines(text)}


def unfinished_in(text: str) -> Counter[str]:
    """Return label → number of its nodes that failed, were skipped, or started and did not end."""
    lines = list(read_lines(text))
    begun = Counter(one.label for one in lines if one.status == "started")
    ended = Counter(one.label for one in lines if one.status != "started")
    bad = Counter(one.label for one in lines if one.status not in {"started", *GOOD})
    return bad + (begun - ended)


def read_lines(text: str) -> Iterator[NodeLine]:
    lines = (read_line(line) for line in COLOR.sub("", text).splitlines())
    return (line for line in lines if line)


def read_line(line: str) -> NodeLine | None:
    """Return the parsed line; None if it does not identify a node."""
    if core := CORE.match(line):
        return _read_core(core)
    if fusion := FUSION.match(line):
        return _read_fusion(fusion)
    return None


def _read_core(core: re.Match[str]) -> NodeLine | None:
    """Read a line of dbt Core.

    After ``SKIP relation`` dbt logs the model's name, without version or alias, which can be the
    name of another model's table.
    """
    word, words, ending = core["word"], core["what"].split(), core["ending"]
    is_skipped_test = word == "SKIP" and words[:-1] == ["test"]
    if not words or NOT_NODES & set(words[:-1]) or (word == "SKIP" and not is_skipped_test):
        return None
    rows = re.search(r"(\d+) in [\d.]+s$", ending)
    return NodeLine(
        label=without_database(words[-1].rpartition("::")[2]),
        status="reused" if UNCHANGED.match(ending) else STATUSES[word],
        seconds=seconds_in(ending),
        line=core.string.strip(),
        rows=int(rows[1]) if rows else None,
    )


def _read_fusion(fusion: re.Match[str]) -> NodeLine:
    """Read a line of dbt 2.0, which may put a schema before a test's name."""
    is_test = "test" in fusion["kind"]
    label = fusion["label"]
    return NodeLine(
        label=label.rpartition(".")[2] if is_test else without_database(label),
        status=STATUSES.get(fusion["word"], "fail" if is_test else "error"),
        seconds=seconds_in(fusion["ending"] or ""),
        line=fusion.string.strip(),
    )


def seconds_in(ending: str) -> float:
    """Return the duration in seconds: 0.31 for ``OK in 0.31s``, 139 for ``2m19s``.

    >>> seconds_in("  2m19s"), seconds_in("INSERT 249 in 0.06s"), seconds_in("-------")
    (139.0, 0.06, 0.0)
    """
    parts = TIME.finditer(ending.rpartition(" in ")[2])
    return sum(float(part["number"]) * SECONDS[part["unit"]] for part in parts)


@dataclass(frozen=True)
class Failure:
    """The error message of a node, and the last SQL that dbt sent for it."""

    message: str
    sql: str = ""


def read_failures(debug_log: str) -> dict[str, Failure]:
    """Return unique id → failure, which dbt Core logs when it skips the node's children.

    The normal log has these messages only at its end.
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


def failed_batches(text: str) -> Iterator[str]:
    """Yield, for each failed batch of a microbatch model, its start, its model and the error.

    Batches that ran in parallel with others are left out, since their lines are mixed.
    """
    for found in FAILED_BATCH.finditer(COLOR.sub("", text)):
        error = BEFORE_ERROR.sub("", found["error"], count=1).strip()
        yield f"batch {found['start']} of {found['label']}: {error or 'no message in the log'}"
