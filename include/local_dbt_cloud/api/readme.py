"""Write the list of endpoints in README.md: ``python -m include.local_dbt_cloud.api.readme``."""

from __future__ import annotations

import re
from pathlib import Path

from .routes import ROUTES

README = Path(__file__).parents[1] / "README.md"
TABLE = re.compile(r"(?<=\| method \| path \|\n\|---\|---\|\n)(?:\|.*\|\n)*")


def with_endpoints(text: str) -> str:
    """Return the page with the table of all routes."""
    rows = "".join(f"| {route.method} | `{route.path}` |\n" for route in ROUTES)
    return TABLE.sub(lambda _: rows, text, count=1)


if __name__ == "__main__":
    README.write_text(with_endpoints(README.read_text()))
