"""The page's addresses, each behind Airflow's login.

Airflow serves a plugin's app to anybody, so the app asks by Airflow's own means who is there. Who
may read the Dag that keeps the history may see the page.
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
from .newest_runs import SECONDS, Answer, NewestRuns
from .started_by import dag_runs_of

FOLDER = Path(__file__).parent
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
# dbt's page is somebody else's script: it may run, and neither be Airflow's user nor call anybody.
DOCS_HEADERS = HEADERS | {
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; font-src data:; "
        "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'"
    )
}
TROUBLES = {
    401: "You are not logged in: log in to Airflow, then open this page again.",
    403: "You may not see this page: log in to Airflow as somebody who may read the Dag {dag_id}.",
}
ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
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
    """Return the app. It shows the account of the connection as that is now, and no other.

    Args:
        history: Where the Dag keeps the runs, an ObjectStoragePath.
        dbt_cloud_conn_id: The connection by which dbt Cloud is asked for its newest runs.
        dag_id: The Dag that keeps them. Who may read it may see the page.
        account_id: As the Dag gives it to ``keep_runs``; by default the connection's login.
    """
    app = FastAPI(title="dbt Cloud", openapi_url=None)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    guard = Depends(requires_access_dag("GET", param_dag_id=dag_id))
    newest_runs = NewestRuns(dbt_cloud_conn_id, account_id)
    app.include_router(router(history, newest_runs, dag_id), dependencies=[guard])

    @app.exception_handler(StarletteHTTPException)
    def tell(request: Request, error: StarletteHTTPException) -> Response:
        text = TROUBLES.get(error.status_code, str(error.detail)).replace("{dag_id}", dag_id)
        return page("trouble.html", root_of(request), error.status_code, text=text)

    @app.exception_handler(RequestValidationError)
    def tell_of_no_number(request: Request, _error: RequestValidationError) -> Response:
        text = "There is no such page: the address has no number that a job or project can have."
        return page("trouble.html", root_of(request), 404, text=text)

    @app.exception_handler(OSError)
    def tell_of_the_history(request: Request, error: OSError) -> Response:
        log.error("The kept runs below %s cannot be read: %r", history, error)
        text = f"The kept runs cannot be read: {error}"
        return page("trouble.html", root_of(request), 503, text=text)

    return app


def router(history: Any, newest_runs: NewestRuns, dag_id: str) -> APIRouter:
    routes = APIRouter()

    @routes.get("/")
    def show_jobs(request: Request, user: GetUserDep) -> Response:
        answer = newest_runs.answer()
        kept = kept_of(answer, history)
        jobs = jobs_of(answer, kept, dag_runs_for(user))
        return page(
            "jobs.html",
            root_of(request),
            account=answer.account,
            jobs=jobs,
            problem=answer.problem,
            projects=documented_projects(kept.folder),
            is_kept=bool(kept.jobs()),
            dag_id=dag_id,
        )

    @routes.get("/jobs/{job_id}")
    def show_job(request: Request, job_id: Id, user: GetUserDep) -> Response:
        answer = newest_runs.answer()
        kept = kept_of(answer, history)
        found = details_of(job_id, answer, kept, dag_runs_for(user))
        if found is None:
            raise HTTPException(404, f"No run of job {job_id} is known: run it, or keep one.")
        return page("job.html", root_of(request), problem=answer.problem, found=found)

    @routes.get("/docs/{project_id}")
    def show_docs(project_id: Id) -> Response:
        kept = kept_of(newest_runs.answer(), history)
        docs = read_newest_docs(kept.folder, project_id)
        if docs is None:
            raise HTTPException(404, f"No documentation of project {project_id} is kept.")
        return HTMLResponse(docs, headers=DOCS_HEADERS)

    return routes


def kept_of(answer: Answer, history: Any) -> History:
    """Return what is kept of the answer's account; raises HTTPException if that is unknown."""
    if answer.account is None:
        raise HTTPException(503, f"Could not read which account to show: {answer.problem}")
    return History(answer.account.folder_below(history))


def dag_runs_for(user: Any) -> FindDagRuns:
    """Of the Dags that the user may read."""
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return partial(dag_runs_of, readable=readable)


def root_of(request: Request) -> str:
    """From the address that is shown to the page's own first one, whatever proxy is before it."""
    below = request.url.path.partition(request.scope["root_path"] + "/")[2]
    return "../" * below.count("/") or "./"


def page(template: str, root: str, status: int = 200, **values: Any) -> Response:
    text = ENVIRONMENT.get_template(template).render(root=root, **values)
    # dbt's messages may have halves of characters.
    return HTMLResponse(text.encode(errors="replace"), status, HEADERS)
