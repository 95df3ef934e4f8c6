"""Query parameters of lists, in every encoding that clients send (CONTRACT.md, section 1.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, func
from sqlalchemy.orm import InstrumentedAttribute, Session
from starlette.datastructures import QueryParams

from ..storage.schemas import MAX_ID
from ..storage.tables import Row
from .errors import InvalidRequestError

MAX_LIMIT = 100
MAX_WORDS = 1000  # in one filter; SQLite limits them too
STATES = {"active": 1, "deleted": 2, "1": 1, "2": 2}

# A column, or a value inside a definition.
Column = InstrumentedAttribute[Any] | ColumnElement[Any]
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


TEXT: Mapping[str, Any] = {"type": "string"}
INTEGER: Mapping[str, Any] = {"type": "integer", "minimum": -MAX_ID, "maximum": MAX_ID}
BOOLEAN: Mapping[str, Any] = {"type": "boolean"}


def many(items: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": "array", "items": items, "maxItems": MAX_WORDS}


@dataclass(frozen=True)
class Filter:
    """How a parameter's text is parsed, and the condition for its value.

    ``schema`` describes the parameter in ``/openapi.json``.
    """

    parse: Callable[[list[str]], Any]
    condition: Callable[[Any], ColumnElement[bool]]
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT)


@dataclass(frozen=True)
class Listing:
    """The filters and orders of one kind of list; ``project`` limits it to a token's projects."""

    filters: Mapping[str, Filter]
    order: Mapping[str, Column]
    state: Column | None = None
    default_state: str = "active"
    project: Column | None = None


@dataclass(frozen=True)
class ListQuery:
    """One list request; the response contains ``applied`` in ``extra.filters``."""

    limit: int
    offset: int
    order_by: str
    applied: dict[str, Any]
    conditions: list[ColumnElement[bool]]
    ordering: list[ColumnElement[Any]]

    def extra(self, count: int, total: int) -> dict[str, Any]:
        return {
            "filters": {"limit": self.limit, "offset": self.offset, **self.applied},
            "order_by": self.order_by,
            "pagination": {"count": count, "total_count": total},
        }


def parse_words(values: Iterable[str]) -> list[str]:
    """Split ``[1, 2]``, ``1,2``, ``["a"]``, ``['a']``, ``[a]`` and repeated parameters."""
    words = re.sub(r"""[\[\]'"\s]""", "", ",".join(values)).split(",")
    return [word for word in words if word]


def parse_some(texts: list[str]) -> list[str]:
    """Split the values; raise ValueError if there are more than a filter accepts."""
    words = parse_words(texts)
    if len(words) > MAX_WORDS:
        raise ValueError("too many values")
    return words


def parse_integer(text: str) -> int:
    """Return an integer of at most 64 bits; raise ValueError for other text."""
    if not re.fullmatch(r"[+-]?\d{1,19}", text.strip()) or abs(int(text)) > MAX_ID:
        raise ValueError("not a valid integer")
    return int(text)


def parse_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def equals(column: Column) -> Filter:
    return Filter(lambda texts: parse_integer(texts[-1]), lambda value: column == value, INTEGER)


def above(column: Column) -> Filter:
    return Filter(lambda texts: parse_integer(texts[-1]), lambda value: column > value, INTEGER)


def within(column: Column) -> Filter:
    def parse(texts: list[str]) -> list[int]:
        return [parse_integer(word) for word in parse_some(texts)]

    return Filter(parse, column.in_, many(INTEGER))


def text_equals(column: Column) -> Filter:
    return Filter(lambda texts: texts[-1], lambda value: column == value)


def text_within(column: Column) -> Filter:
    return Filter(parse_some, column.in_, many(TEXT))


def is_true(column: Column) -> Filter:
    """Filter by ``true``, ``false``, ``1`` or ``0``."""
    return Filter(lambda texts: BOOLEANS[texts[-1].strip().lower()], column.is_, BOOLEAN)


def contains(column: Column) -> Filter:
    return Filter(lambda texts: texts[-1], lambda value: column.icontains(value, autoescape=True))


def between(column: Column) -> Filter:
    """Filter by two moments: ``["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]``."""

    def parse(texts: list[str]) -> list[str]:
        words = re.split(r"[,\[\]'\"]+", ",".join(texts))
        first, last = (parse_moment(word) for word in words if word.strip())
        return [first.isoformat(), last.isoformat()]

    def condition(value: list[str]) -> ColumnElement[bool]:
        first, last = map(parse_moment, value)
        return column.between(first, last)

    return Filter(parse, condition)


def parse_include_related(params: QueryParams) -> frozenset[str]:
    """Return the names to embed; unknown names have no effect."""
    return frozenset(parse_words(params.getlist("include_related")))


def parse_list_query(params: QueryParams, listing: Listing, account_id: int) -> ListQuery:
    """Parse a list's parameters; raise InvalidRequestError if one is invalid."""
    applied: dict[str, Any] = {"account_id": account_id}
    conditions: list[ColumnElement[bool]] = []
    for name, one in listing.filters.items():
        texts = [text for text in params.getlist(name) if text.strip()]
        if texts:
            applied[name] = value = _read(name, texts, one.parse)
            conditions.append(one.condition(value))
    if listing.state is not None:
        applied["state"] = state = params.get("state") or listing.default_state
        if state != "all":
            value = _read("state", [state], lambda texts: STATES[texts[0]])
            conditions.append(listing.state == value)
    order_by = params.get("order_by") or "id"
    return ListQuery(
        limit=min(_number(params, "limit", MAX_LIMIT, smallest=1), MAX_LIMIT),
        offset=_number(params, "offset", 0, smallest=0),
        order_by=order_by,
        applied=applied,
        conditions=conditions,
        ordering=_ordering(order_by, listing.order),
    )


def _read(name: str, texts: list[str], parse: Callable[[list[str]], Any]) -> Any:
    try:
        return parse(texts)
    except (ValueError, KeyError, OverflowError):
        raise InvalidRequestError(data={name: f"{texts[-1]!r} is not a valid value"}) from None


def _number(params: QueryParams, name: str, default: int, smallest: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    number: int = _read(name, [text], lambda texts: parse_integer(texts[0]))
    if number < smallest:
        raise InvalidRequestError(data={name: f"must be {smallest} or more"})
    return number


def _ordering(order_by: str, allowed: Mapping[str, Column]) -> list[ColumnElement[Any]]:
    """Return the order; ties are sorted by id in the same direction, so pages never overlap."""
    column = allowed.get(order_by.removeprefix("-"))
    if column is None:
        choices = ", ".join(f"{name}, -{name}" for name in allowed)
        raise InvalidRequestError(data={"order_by": f"must be one of {choices}"})
    if order_by.startswith("-"):
        return [column.desc(), allowed["id"].desc()]
    return [column.asc(), allowed["id"].asc()]


AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True)
class Page(Generic[AnyRow]):
    """One page of a list, and the number of rows in the whole list."""

    rows: list[AnyRow]
    total: int


def page_of(session: Session, statement: Select[AnyRow], query: ListQuery) -> Page[AnyRow]:
    """Return the page and the total, both from the session's snapshot."""
    matching = statement.where(*query.conditions)
    total = session.scalar(matching.with_only_columns(func.count())) or 0
    ordered = matching.order_by(*query.ordering).limit(query.limit).offset(query.offset)
    return Page(list(session.scalars(ordered)), total)
