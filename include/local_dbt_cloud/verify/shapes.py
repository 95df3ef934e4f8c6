"""Shapes of JSON answers: fields and types without values, and how two shapes differ.

A shape keeps no value. A key counts as a value if it cannot be the name of a field, such as an id
or the name of a variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
ANY_KEY = "{key}"
# Objects whose keys are the account's own, as paths in an answer or as names of fields.
OWN_KEYS = frozenset({"data.{key}", "data.variables", "data.variables.{key}"})
OWN_KEY_FIELDS = frozenset({"details", "config", "metadata", "extended_attributes"})
TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    dict: "object",
}


@dataclass
class Shape:
    """The types seen at one place, the fields of its objects, and the items of its lists."""

    types: set[str] = field(default_factory=set)
    fields: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None

    def add(self, value: Any, path: str = "") -> None:
        """Add a value's type, and those inside it."""
        self.types.add(TYPES[type(value)])
        if isinstance(value, dict):
            for key, inner in value.items():
                name = shown_key(path, key)
                place = f"{path}.{name}" if path else name
                self.fields.setdefault(name, Shape()).add(inner, place)
        elif isinstance(value, list):
            self.items = self.items or Shape()
            for inner in value:
                self.items.add(inner, f"{path}[]")


@dataclass(frozen=True)
class Difference:
    """A field that exists on one side only, or whose types differ."""

    path: str
    kind: str

    def __str__(self) -> str:
        return f"`{self.path}`: {self.kind}"


def shape_of(answer: Any) -> Shape:
    shape = Shape()
    shape.add(answer)
    return shape


def shown_key(path: str, key: str) -> str:
    """Return the key, or ``{key}`` if it may be a value."""
    is_own = path in OWN_KEYS or path.rpartition(".")[2].removesuffix("[]") in OWN_KEY_FIELDS
    return key if FIELD.fullmatch(key) and not is_own else ANY_KEY


def differences(theirs: Shape, ours: Shape, path: str = "") -> Iterator[Difference]:
    """Yield what differs, the outermost place only; null and absent items match everything."""
    their_types, our_types = theirs.types - {"null"}, ours.types - {"null"}
    if not their_types or not our_types:
        return
    if their_types != our_types:
        there, here = " or ".join(sorted(their_types)), " or ".join(sorted(our_types))
        yield Difference(path, f"{there} in dbt Cloud, {here} here")
        return
    if theirs.items and ours.items:
        yield from differences(theirs.items, ours.items, f"{path}[]")
    yield from _field_differences(theirs, ours, path)


def _field_differences(theirs: Shape, ours: Shape, path: str) -> Iterator[Difference]:
    if not theirs.fields or not ours.fields:
        return
    if not theirs.fields.keys() & ours.fields.keys():
        yield Difference(path, "no field in common")  # keys may be values: name none
        return
    for name in sorted(theirs.fields.keys() | ours.fields.keys()):
        place = f"{path}.{name}" if path else name
        if name not in ours.fields:
            types = " or ".join(sorted(theirs.fields[name].types))
            yield Difference(place, f"only in dbt Cloud ({types})")
        elif name not in theirs.fields:
            yield Difference(place, "only here")
        else:
            yield from differences(theirs.fields[name], ours.fields[name], place)
