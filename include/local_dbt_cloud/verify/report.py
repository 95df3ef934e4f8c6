"""The report: endpoints, paths of fields, types and counts, and no value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .shapes import Difference


@dataclass(frozen=True)
class Result:
    """The comparison of one endpoint; ``note`` says why there was none."""

    endpoint: str
    differences: tuple[Difference, ...] = ()
    note: str = ""

    @property
    def outcome(self) -> str:
        count = len(self.differences)
        return self.note or (f"{count} difference{'s' * (count != 1)}" if count else "equal")


def in_markdown(results: Sequence[Result]) -> str:
    """Return a page that can be attached to an issue."""
    lines = [
        "# dbt Cloud and the local dbt Cloud",
        "",
        "Fields and types of the answers; no values, names, ids or addresses.",
        "",
        "| endpoint | result |",
        "|---|---|",
        *(f"| `{result.endpoint}` | {result.outcome} |" for result in results),
    ]
    for result in results:
        if result.differences:
            lines += ["", f"## `{result.endpoint}`", ""]
            lines += [f"- {difference}" for difference in result.differences]
    return "\n".join(lines) + "\n"


def in_json(results: Sequence[Result]) -> str:
    rows = [
        {
            "endpoint": result.endpoint,
            "result": result.outcome,
            "differences": [vars(difference) for difference in result.differences],
        }
        for result in results
    ]
    return json.dumps(rows, indent=2) + "\n"
