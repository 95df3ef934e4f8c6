"""The operations that dbt Cloud documents, in ``operations.tsv``, and which of them are served."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .routes import ROUTES, Route

OPERATIONS = Path(__file__).with_name("operations.tsv")
PLACEHOLDER = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, order=True)
class Operation:
    """An operation of a document, with its path as documented."""

    path: str
    method: str
    name: str

    @property
    def endpoint(self) -> tuple[str, str]:
        return self.method, anonymous(self.path)


def anonymous(path: str) -> str:
    """Return the path without names of placeholders and trailing slash: ``/jobs/{}``."""
    return PLACEHOLDER.sub("{}", path).rstrip("/")


def endpoint_of(route: Route) -> tuple[str, str]:
    return route.method, anonymous(route.path)


SERVED = frozenset(map(endpoint_of, ROUTES))


def read_operations() -> list[Operation]:
    rows = (line.split("\t") for line in OPERATIONS.read_text().splitlines())
    return [Operation(path, method, name) for method, path, name in rows]


def not_served_operations() -> list[Operation]:
    return [one for one in read_operations() if one.endpoint not in SERVED]
