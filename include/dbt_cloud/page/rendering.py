"""HTML from the templates, with the headers that all pages have."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..api.artifacts import has_failed
from . import charts
from .model_chart import mark_of, middle
from .newest_runs import SECONDS
from .runs import duration_text

TEMPLATES = Path(__file__).parent / "templates"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def node_address(page: str, unique_id: str, query: str) -> str:
    """Return the address of a node's page; ``query`` selects the account."""
    chosen = urlencode({"id": unique_id}, errors="replace")
    return f"{page}?{chosen}{query.replace('?', '&', 1)}"


ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters["asdict"] = asdict
ENVIRONMENT.globals.update(
    duration_chart=charts.DurationChart.of,
    duration_text=duration_text,
    has_failed=has_failed,
    mark_of=mark_of,
    middle=middle,
    node_address=node_address,
    sparkline=charts.Sparkline.of,
    strip=charts.strip,
    refresh_seconds=int(SECONDS),
)


def root_of(request: Request) -> str:
    """Return the relative path to the page's root, which works behind any proxy."""
    below = request.url.path.partition(request.scope["root_path"] + "/")[2]
    return "../" * below.count("/") or "./"


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return the page, or 304 without content if the browser shows it already."""
    content = rendered(template, root_of(request), **values)
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = HEADERS | {"ETag": tag}
    if status == 200 and request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(content, status, headers)


def rendered(template: str, root: str, **values: Any) -> bytes:
    text = ENVIRONMENT.get_template(template).render(root=root, **values)
    return text.encode(errors="replace")  # dbt's messages may contain lone surrogates
