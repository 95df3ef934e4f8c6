"""Strategies for JSON of other programs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TEXT = st.text(max_size=5) | st.sampled_from(["\ud800", "\x00", "a\nb", "NaN", "1e999"])
MOMENTS = st.sampled_from(
    [
        "0001-01-01T00:00:00+00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31 23:59:59",
        "2026-11-26T10:00:00",
        "2026-11-26T10:00:00.123456Z",
        "2026-11-26",
        "P1D",
        "noon",
    ]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -1])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT | MOMENTS
ANYTHING = st.recursive(
    SCALARS,
    lambda some: st.lists(some, max_size=3) | st.dictionaries(TEXT, some, max_size=3),
    max_leaves=5,
)


def objects(**usual: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects whose keys are valid, mistyped or missing."""
    return st.fixed_dictionaries({}, optional={key: ANYTHING | one for key, one in usual.items()})
