"""Compare responses with ``captures.yaml``, the recorded responses of the real dbt Cloud."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

FILE = Path(__file__).with_name("captures.yaml")
KINDS = ("recorded", "documentation", "mock")
NAMES = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
TIME = re.compile(r"[\d :.+TZ-]{8,}")
ERROR = 400  # the first status code of errors


@dataclass
class Seen:
    """The JSON types of a field, and its values."""

    types: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)

    @property
    def shapes(self) -> set[str]:
        """Return the formats of times and durations, with each digit replaced by 9."""
        return {re.sub(r"\d", "9", value) for value in self.values if TIME.fullmatch(value)}


Fields = dict[str, Seen]  # by path, such as ``data.run_steps[].status``


@dataclass(frozen=True)
class Capture:
    operation: str
    kind: str
    source: str
    seen: str
    answer: Mapping[str, Any]
    code: int = 200

    @property
    def subject(self) -> str:
        """Return the unit of comparison: errors have the same format in all operations."""
        return f"{self.code} of any operation" if self.code >= ERROR else self.operation


@dataclass(frozen=True)
class Difference:
    """A field that differs: it is missing, null, empty, or has another type or format."""

    subject: str
    how: str
    path: str


@dataclass(frozen=True)
class Explanation:
    """Covers the fields whose path ends with one of ``fields``, of all or some subjects."""

    how: str
    fields: tuple[str, ...]
    reason: str
    subjects: tuple[str, ...] = ()

    def uses(self, difference: Difference) -> Iterator[tuple[str, str]]:
        """Yield the parts of this explanation that the difference needs."""
        if self.how != difference.how or difference.subject not in (
            self.subjects or (difference.subject,)
        ):
            return
        for name in self.fields:
            if f".{difference.path}".endswith(f".{name}"):
                yield name, difference.subject if self.subjects else ""

    @property
    def parts(self) -> set[tuple[str, str]]:
        return {(name, subject) for name in self.fields for subject in self.subjects or ("",)}


@dataclass(frozen=True)
class Captures:
    captures: tuple[Capture, ...]
    differs: tuple[Explanation, ...]
    not_served: tuple[str, ...]

    @classmethod
    def read(cls) -> Self:
        content = yaml.safe_load(FILE.read_text())
        explained = [
            Explanation(
                one["how"], tuple(one["fields"]), one["reason"], tuple(one.get("only_in", ()))
            )
            for one in content["differs"]
        ]
        captures = tuple(Capture(**one | {"seen": str(one["seen"])}) for one in content["captures"])
        return cls(captures, tuple(explained), tuple(content["not_served"]))

    @property
    def subjects(self) -> list[str]:
        return sorted({one.subject for one in self.captures if one.kind != "mock"})

    def differences(self, subject: str, answers: Iterable[Any]) -> list[Difference]:
        """Return the fields in which our responses differ from all captures of the subject."""
        captured: Fields = {}
        for one in self.captures:
            if one.subject == subject and one.kind != "mock":
                add_captured(captured, one.answer, "", any_key=one.code >= ERROR)
        ours: Fields = {}
        for answer in answers:
            add_answer(ours, answer, "", any_key=subject.endswith("any operation"))
        return [
            Difference(subject, how, path)
            for path, seen in captured.items()
            if (how := compare(path, seen, ours))
        ]


def compare(path: str, captured: Seen, ours: Fields) -> str | None:
    """Return how our field differs, or None. Fields inside a differing one are not compared."""
    parent, container = parent_of(path)
    if parent and (parent not in ours or container not in ours[parent].types):
        return None
    if path not in ours:
        return "empty" if path.endswith("[]") else "missing"
    types = ours[path].types - {"null"}
    if not types:
        return None if captured.types & {"null", "any"} else "null"
    if "any" not in captured.types and not types <= (captured.types - {"null"} or types):
        return "type"
    shapes = captured.shapes
    return "format" if shapes and not ours[path].shapes <= shapes else None


def parent_of(path: str) -> tuple[str, str]:
    """Return the path of the container, and its type."""
    if path.endswith("[]"):
        return path[:-2], "array"
    return path.rpartition(".")[0], "object"


def add_captured(fields: Fields, tree: Any, path: str, any_key: bool = False) -> None:
    """Add the fields of a tree in ``captures.yaml``."""
    seen = fields.setdefault(path, Seen())
    if isinstance(tree, Mapping):
        seen.types.add("object")
        for key, value in tree.items():
            name, null, _ = key.partition("|null")
            inner = child(path, name, any_key)
            add_captured(fields, value, inner, any_key)
            fields[inner].types.update({"null"} if null else ())
    elif isinstance(tree, list):
        seen.types.add("array")
        for value in tree:
            add_captured(fields, value, f"{path}[]", any_key)
    else:
        types, _, example = ("null" if tree is None else tree).partition(" = ")
        seen.types.update(types.split("|"))
        seen.values.add(example)


def add_answer(fields: Fields, value: Any, path: str, any_key: bool = False) -> None:
    """Add the fields of a JSON value."""
    seen = fields.setdefault(path, Seen())
    if isinstance(value, Mapping):
        seen.types.add("object")
        for key, inner in value.items():
            add_answer(fields, inner, child(path, key, any_key), any_key)
    elif isinstance(value, list):
        seen.types.add("array")
        for inner in value:
            add_answer(fields, inner, f"{path}[]", any_key)
    else:
        seen.types.add(NAMES[type(value)])
        seen.values.add(str(value))


def child(path: str, key: str, any_key: bool) -> str:
    """Return the path of a key; the keys in an error's ``data`` are the invalid fields."""
    if any_key and path.startswith("data"):
        return f"{path}.*"
    return f"{path}.{key}" if path else key
