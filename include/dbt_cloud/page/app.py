"""The page's routes, each behind Airflow's login.

Airflow does not authenticate plugin endpoints, so the app uses Airflow's own dependency for it.
The page requires permission to read the Dag that stores the history.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from ..airflow.api_server import GetUserDep, get_auth_manager, requires_access_dag
from ..api.artifacts import has_failed
from ..api.loose_json import LARGEST
from ..reports.dbt_docs import documented_projects, read_newest_docs
from ..reports.history import History
from . import charts
from .content import FindDagRuns, details_of, jobs_of
from .newest_runs import SECONDS, NewestRuns, RecentRuns
from .started_by import dag_runs_of

HERE = Path(__file__).parent
Id = Annotated[int, InPath(ge=1, le=LARGEST)]
log = logging.getLogger(__name__)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# dbt's page is a foreign script: it runs without Airflow's session and without network access.
DOCS_HEADERS = HEADERS | {
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; font-src data:; "
        "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'"
    )
}
MESSAGES = {
    401: "You are not logged in: log in to Airflow, then open this page again.",
    403: "You are not allowed to see this page: it requires read access to the Dag {dag_id}.",
}
ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals.update(
    bars=charts.bars, line=charts.line, has_failed=has_failed, refresh_seconds=int(SECONDS)
)


def make_page(
    history: Any, dbt_cloud_conn_id: str, dag_id: str, account_id: int | None = None
) -> FastAPI:
    """Return the app, which shows only the connection's current account.

    Args:
        history: The ObjectStoragePath in which the Dag stores the runs.
        dbt_cloud_conn_id: The connection for reading dbt Cloud's newest runs.
        dag_id: The Dag that stores them. Read access to it is required for the page.
        account_id: The Dag's argument of ``keep_runs``; by default the connection's login.
    """
    app = FastAPI(title="dbt Cloud", openapi_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    guard = Depends(requires_access_dag("GET", param_dag_id=dag_id))
    newest_runs = NewestRuns(dbt_cloud_conn_id, account_id)
    app.include_router(router(history, newest_runs, dag_id), dependencies=[guard])

    @app.exception_handler(StarletteHTTPException)
    def show_error(request: Request, error: StarletteHTTPException) -> Response:
        text = MESSAGES.get(error.status_code, str(error.detail)).replace("{dag_id}", dag_id)
        return page("message.html", root_of(request), error.status_code, text=text)

    @app.exception_handler(RequestValidationError)
    def show_invalid_path(request: Request, _error: RequestValidationError) -> Response:
        text = "There is no such page: the address has no valid id of a job or project."
        return page("message.html", root_of(request), 404, text=text)

    @app.exception_handler(OSError)
    def show_unreadable_history(request: Request, error: OSError) -> Response:
        log.error("Could not read the stored runs below %s: %r", history, error)
        text = f"Could not read the stored runs: {error}"
        return page("message.html", root_of(request), 503, text=text)

    return app


def router(history: Any, newest_runs: NewestRuns, dag_id: str) -> APIRouter:
    routes = APIRouter()

    @routes.get("/")
    def show_jobs(request: Request, user: GetUserDep) -> Response:
        recent = newest_runs.read()
        kept = kept_of(recent, history)
        jobs = jobs_of(recent, kept, dag_runs_for(user))
        return page(
            "jobs.html",
            root_of(request),
            account=recent.account,
            jobs=jobs,
            problem=recent.problem,
            projects=documented_projects(kept.folder),
            is_kept=bool(kept.jobs()),
            dag_id=dag_id,
        )

    @routes.get("/jobs/{job_id}")
    def show_job(request: Request, job_id: Id, user: GetUserDep) -> Response:
        recent = newest_runs.read()
        kept = kept_of(recent, history)
        found = details_of(job_id, recent, kept, dag_runs_for(user))
        if found is None:
            raise HTTPException(404, f"Job {job_id} has no run: run it, or store one.")
        return page("job.html", root_of(request), problem=recent.problem, found=found)

    @routes.get("/docs/{project_id}")
    def show_docs(project_id: Id) -> Response:
        kept = kept_of(newest_runs.read(), history)
        docs = read_newest_docs(kept.folder, project_id)
        if docs is None:
            raise HTTPException(404, f"No documentation of project {project_id} is stored.")
        return HTMLResponse(docs, headers=DOCS_HEADERS)

    return routes


def kept_of(recent: RecentRuns, history: Any) -> History:
    """Return the account's history; raise ``HTTPException`` if the account is unavailable."""
    if recent.account is None:
        raise HTTPException(503, f"Could not read which account to show: {recent.problem}")
    return History(recent.account.folder_below(history))


def dag_runs_for(user: Any) -> FindDagRuns:
    """Return a search for Dag runs of the Dags that the user can read."""
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return partial(dag_runs_of, readable=readable)


def root_of(request: Request) -> str:
    """Return the relative path to the page's root, which works behind any proxy."""
    below = request.url.path.partition(request.scope["root_path"] + "/")[2]
    return "../" * below.count("/") or "./"


def page(template: str, root: str, status: int = 200, **values: Any) -> Response:
    text = ENVIRONMENT.get_template(template).render(root=root, **values)
    # dbt's messages may contain lone surrogates.
    return HTMLResponse(text.encode(errors="replace"), status, HEADERS)
