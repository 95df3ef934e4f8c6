"""The page's routes, each behind Airflow's login.

Airflow does not authenticate plugin endpoints, so the app uses Airflow's own dependency for it.
The page requires permission to read the Dag that stores the history.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from ..airflow.api_server import GetUserDep, get_auth_manager, requires_access_dag
from ..api.artifacts import has_failed
from ..api.loose_json import LARGEST
from ..reports.dbt_docs import read_newest_docs
from . import charts
from .accounts import Accounts, ShownAccount
from .content import LISTED, FindDagRuns, Overview, details_of
from .job_table import JobTable, View
from .lineage import lineage_of
from .live_run import read_live_run
from .model_chart import mark_of, middle
from .model_details import model_address, model_details_of
from .newest_runs import SECONDS
from .run_details import RunDetails, path_of, run_details_of
from .runs import duration_text
from .started_by import dag_runs_of
from .usage import Choice, usage_csv, usage_of

HERE = Path(__file__).parent
Id = Annotated[int, InPath(ge=1, le=LARGEST)]
ChosenProject = Annotated[int | None, Query(ge=0, le=LARGEST)]
log = logging.getLogger(__name__)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
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
UNKNOWN_RUN = "is not one of dbt Cloud's newest runs, and has no readable file."
ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
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
    model_address=model_address,
    sparkline=charts.Sparkline.of,
    strip=charts.strip,
    refresh_seconds=int(SECONDS),
)


def make_page(
    history: Any,
    dbt_cloud_conn_id: str | Sequence[str],
    dag_id: str,
    account_id: int | None = None,
) -> FastAPI:
    """Return the app, which shows only the current accounts of the connections.

    Args:
        history: The ObjectStoragePath in which the Dag stores the runs.
        dbt_cloud_conn_id: The connection for reading dbt Cloud's newest runs, or several, each
            with its own account.
        dag_id: The Dag that stores them. Read access to it is required for the page.
        account_id: The Dag's argument of ``keep_runs`` with one connection; by default its login.

    Raises:
        ValueError: ``account_id`` is given for several connections.
    """
    app = FastAPI(title="dbt Cloud", openapi_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    guard = Depends(requires_access_dag("GET", param_dag_id=dag_id))
    conn_ids = [dbt_cloud_conn_id] if isinstance(dbt_cloud_conn_id, str) else dbt_cloud_conn_id
    accounts = Accounts(history, conn_ids, account_id)
    for routes in (router(accounts, dag_id), history_router(accounts)):
        app.include_router(routes, dependencies=[guard])

    @app.exception_handler(StarletteHTTPException)
    def show_error(request: Request, error: StarletteHTTPException) -> Response:
        text = MESSAGES.get(error.status_code, str(error.detail)).replace("{dag_id}", dag_id)
        return page(request, "message.html", error.status_code, text=text)

    @app.exception_handler(RequestValidationError)
    def show_invalid_path(request: Request, _error: RequestValidationError) -> Response:
        text = "There is no such page: the address has no valid id of a job, run or project."
        return page(request, "message.html", 404, text=text)

    @app.exception_handler(OSError)
    def show_unreadable_history(request: Request, error: OSError) -> Response:
        log.error("Could not read the stored runs below %s: %r", history, error)
        text = f"Could not read the stored runs: {error}"
        return page(request, "message.html", 503, text=text)

    return app


def router(accounts: Accounts, dag_id: str) -> APIRouter:
    routes = APIRouter()

    def find_details(
        job_id: int, run_id: int, user: Any, connection: str
    ) -> tuple[ShownAccount, RunDetails]:
        find_dag_runs = dag_runs_for(user)
        return accounts.find(
            connection,
            lambda one, history: run_details_of(
                job_id, run_id, one.recent, history, find_dag_runs, partial(read_live_run, one)
            ),
            f"Run {run_id} of job {job_id}",
            UNKNOWN_RUN,
        )

    @routes.get("/")
    def show_jobs(request: Request, user: GetUserDep, connection: str = "") -> Response:
        find_dag_runs = dag_runs_for(user)
        overviews = [Overview.of(one, find_dag_runs) for one in accounts.read(connection)]
        table = JobTable.of(View.of(request.query_params), overviews)
        return page(request, "jobs.html", table=table, most=LISTED, dag_id=dag_id)

    @routes.get("/jobs/{job_id}")
    def show_job(request: Request, job_id: Id, user: GetUserDep, connection: str = "") -> Response:
        find_dag_runs = dag_runs_for(user)
        shown, details = accounts.find(
            connection,
            lambda one, history: details_of(job_id, one.recent, history, find_dag_runs),
            f"Job {job_id}",
            "has no run: run it, or store one.",
        )
        return page(request, "job.html", shown=shown, found=details)

    @routes.get("/jobs/{job_id}/runs/{run_id}")
    def show_run(
        request: Request, job_id: Id, run_id: Id, user: GetUserDep, connection: str = ""
    ) -> Response:
        shown, details = find_details(job_id, run_id, user, connection)
        return page(request, "run.html", shown=shown, found=details, dag_id=dag_id)

    @routes.get("/jobs/{job_id}/runs/{run_id}/lineage")
    def show_lineage(
        request: Request, job_id: Id, run_id: Id, user: GetUserDep, connection: str = ""
    ) -> Response:
        shown, details = find_details(job_id, run_id, user, connection)
        nodes = lineage_of(details)
        return page(request, "lineage.html", shown=shown, found=details, nodes=nodes)

    @routes.get("/runs")
    def find_run(request: Request, run_url: str = "") -> Response:
        shown, path = accounts.find(
            "",
            lambda one, history: path_of(run_url, one.recent, history),
            f"Run {run_url[:200]}",
            UNKNOWN_RUN,
        )
        return RedirectResponse(f"{root_of(request)}{path}{shown.query}", headers=HEADERS)

    @routes.get("/docs/{project_id}")
    def show_docs(project_id: Id, connection: str = "") -> Response:
        _, docs = accounts.find(
            connection,
            lambda _, history: read_newest_docs(history.folder, project_id),
            f"Project {project_id}",
            "has no stored documentation.",
        )
        return HTMLResponse(docs, headers=DOCS_HEADERS)

    return routes


def history_router(accounts: Accounts) -> APIRouter:
    """Return the routes of the pages that show only stored runs."""
    routes = APIRouter()

    # The id is in the query, since proxies and browsers change paths with slashes and dots.
    @routes.get("/jobs/{job_id}/model")
    def show_model(request: Request, job_id: Id, id: str = "", connection: str = "") -> Response:
        shown, details = accounts.find(
            connection,
            lambda _, history: model_details_of(job_id, id, history),
            f"The model {id} of job {job_id}",
            "is in no stored run.",
        )
        return page(request, "model.html", shown=shown, found=details)

    @routes.get("/usage")
    def show_usage(
        request: Request, month: str = "", project: ChosenProject = None, connection: str = ""
    ) -> Response:
        choice = Choice(month, project, connection)
        usages = usage_of(accounts.read(connection), choice)
        return page(request, "usage.html", usages=usages, choice=choice)

    @routes.get("/usage.csv")
    def download_usage(
        month: str = "", project: ChosenProject = None, connection: str = ""
    ) -> Response:
        rows = usage_csv(accounts.read(connection), Choice(month, project, connection))
        disposition = {"Content-Disposition": 'attachment; filename="dbt_cloud_usage.csv"'}
        return Response(rows, headers=HEADERS | disposition, media_type="text/csv")

    return routes


def dag_runs_for(user: Any) -> FindDagRuns:
    """Return a search for Dag runs of the Dags that the user can read."""
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return partial(dag_runs_of, readable=readable)


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
