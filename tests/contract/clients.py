"""Print the operations in a log of ``--log-requests``, in the spelling of ``clients.yaml``.

Run ``python -m tests.contract.clients LOG``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from starlette.routing import compile_path

from include.local_dbt_cloud.api.operations import not_served_operations
from include.local_dbt_cloud.api.routes import ROUTES

LINE = re.compile(r"INFO: ([A-Z]+) (/api/\S*?)/? ")
ID = re.compile(r"(?<=/)\d+(?=/|$)")
TEMPLATES = [(route.method, route.path) for route in ROUTES]
TEMPLATES += [(one.method, one.path.rstrip("/")) for one in not_served_operations()]
# In the order of the server's routes: it calls the first one that matches.
PATTERNS = [(method, path, compile_path(path)[0]) for method, path in TEMPLATES]


def operations_in(log: Iterable[str]) -> Iterator[str]:
    """Yield method and path template of each request below ``/api``.

    In a path that is neither documented nor served, each number becomes ``{id}``.
    """
    for line in log:
        if found := LINE.match(line):
            method, path = found.groups()
            templates = (
                template
                for one, template, pattern in PATTERNS
                if one == method and pattern.match(path)
            )
            yield f"{method} {next(templates, ID.sub('{id}', path))}"


if __name__ == "__main__":
    with Path(sys.argv[1]).open() as opened:
        print("\n".join(f"- {one}" for one in sorted(set(operations_in(opened)))))
