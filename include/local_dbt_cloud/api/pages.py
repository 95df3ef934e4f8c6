"""What a browser sees: the newest runs, and one run with its steps, logs and artifacts.

Pages need no token and change nothing. The run's page is what Airflow's operator link opens.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from include.local_dbt_cloud.api.dependencies import PathId, base_url_of, server_of
from include.local_dbt_cloud.api.errors import NotFoundError
from include.local_dbt_cloud.api.handlers.accounts import list_accounts
from include.local_dbt_cloud.api.payloads.runs import RunView, run_payload
from include.local_dbt_cloud.runs.run_folder import RunFolder
from include.local_dbt_cloud.storage.tables import RunRow

NEWEST = 50  # runs on the first page
INCLUDE = frozenset({"trigger", "job", "environment", "run_steps"})

templates = Environment(
    loader=PackageLoader("include.local_dbt_cloud.api"), autoescape=True, trim_blocks=True
)


def home(request: Request) -> Response:
    """The newest runs for a browser, the accounts for a client that sends a token."""
    if "authorization" in request.headers:
        return list_accounts(request)
    server = server_of(request)
    statement = select(RunRow).options(selectinload(RunRow.job)).order_by(RunRow.id.desc())
    with server.store.read() as session:
        rows = session.scalars(statement.limit(NEWEST))
        runs = [_describe(request, row, frozenset({"job"})) for row in rows]
    return HTMLResponse(templates.get_template("home.html").render(runs=runs))


def run_page(
    request: Request, account_id: PathId, project_id: PathId, run_id: PathId
) -> HTMLResponse:
    server = server_of(request)
    with server.store.read() as session:
        run = session.get(RunRow, run_id)
        if not run or (run.account_id, run.project_id) != (account_id, project_id):
            raise NotFoundError
        payload = _describe(request, run, INCLUDE)
    folder = RunFolder(server.settings.runs / str(run_id))
    for step in payload["run_steps"]:
        step["artifacts"] = folder.list_artifacts(step["index"])
    return HTMLResponse(templates.get_template("run.html").render(run=payload))


def _describe(request: Request, run: RunRow, include: frozenset[str]) -> dict[str, Any]:
    folder = RunFolder(server_of(request).settings.runs / str(run.id))
    return run_payload(run, RunView(base_url_of(request), folder, include))
