"""The file of a stored run, decoded and checked by msgspec, which is much faster than json.

An attribute that is not declared here is not decoded.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..api.artifacts import Node
from ..api.loose_json import identifier
from ..api.text import read_json, storable
from ..run.failures import shortened

VERSION = 1


class StoredTimes(msgspec.Struct, array_like=True, gc=False):
    """A node's entry of the timeline, see ``timeline.py``."""

    start: float | None
    end: float | None
    thread: int | None
    rows: int | None
    parents: tuple[int, ...] | None


class StoredTimeline(msgspec.Struct):
    """The part of a timeline that views of many runs need."""

    nodes: list[StoredTimes]


class StoredRun(msgspec.Struct):
    """A run and its nodes; the timeline is JSON, ``null`` in files of earlier versions."""

    version: int
    run: dict[str, Any]
    nodes: list[Node]
    timeline: msgspec.Raw = msgspec.Raw(b"null")


FILE = msgspec.json.Decoder(StoredRun)
TIMELINE = msgspec.json.Decoder(StoredTimeline | None)


def decoded(content: bytes) -> StoredRun:
    """Return a run; raise an error for other content."""
    try:
        stored = FILE.decode(content)
    except msgspec.DecodeError:  # also for half of a surrogate pair, as earlier versions wrote it
        text = json.dumps(read_json(content), ensure_ascii=False, allow_nan=False)
        stored = FILE.decode(text.encode())
    if stored.version != VERSION:
        raise ValueError(f"format version {stored.version}")
    if not all(identifier(stored.run[name]) for name in ("id", "job_definition_id")):
        raise ValueError("the run has no valid ids")
    return stored


def encoded(run: dict[str, Any], nodes: list[Node], timeline: dict[str, Any] | None) -> str:
    """Return a file; the timeline is beside the nodes, so that earlier versions can read it."""
    content = {"version": VERSION, "run": run, "nodes": [*map(slim, nodes)], "timeline": timeline}
    return storable(json.dumps(content, separators=(",", ":"), ensure_ascii=False))


def slim(node: Node) -> dict[str, Any]:
    entry = {"unique_id": node.unique_id, "status": node.status, "seconds": round(node.seconds, 2)}
    reason = {"message": shortened(node.message)} if node.has_failed_or_warned else {}
    return entry | reason | {"step": node.step}
