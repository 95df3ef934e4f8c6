"""The page's routes: one router for pages that show active runs too, one for stored runs only."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ..airflow.api_server import GetUserDep, get_auth_manager
from ..api.loose_json import LARGEST
from ..reports.dbt_docs import read_newest_docs
from .accounts import Accounts, ShownAccount
from .content import LISTED, FindDagRuns, Overview, details_of
from .job_table import JobTable, View
from .lineage import lineage_of
from .live_run import read_live_run
from .model_details import model_details_of
from .node_sql import node_sql_of
from .rendering import HEADERS, page, root_of
from .run_details import RunDetails, path_of, run_details_of
from .started_by import dag_runs_of
from .usage import Choice, usage_csv, usage_of

Id = Annotated[int, InPath(ge=1, le=LARGEST)]
ChosenProject = Annotated[int | None, Query(ge=0, le=LARGEST)]
# dbt's page is a foreign script: it runs without Airflow's session and without network access.
DOCS_HEADERS = HEADERS | {
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; font-src data:; "
        "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'"
    )
}
UNKNOWN_RUN = "is not one of dbt Cloud's newest runs, and has no readable file."


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
    def show_job(
        request: Request, job_id: Id, user: GetUserDep, connection: str = "", models: str = ""
    ) -> Response:
        find_dag_runs = dag_runs_for(user)
        shown, details = accounts.find(
            connection,
            lambda one, history: details_of(job_id, one.recent, history, find_dag_runs),
            f"Job {job_id}",
            "has no run: run it, or store one.",
        )
        return page(request, "job.html", shown=shown, found=details, all_models=models == "all")

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

    @routes.get("/jobs/{job_id}/runs/{run_id}/sql")
    def show_sql(
        request: Request, job_id: Id, run_id: Id, id: str = "", connection: str = ""
    ) -> Response:
        shown, found = accounts.find(
            connection,
            partial(node_sql_of, job_id, run_id, id),
            f"The node {id} of run {run_id} of job {job_id}",
            "is in no stored result.",
        )
        return page(request, "sql.html", shown=shown, found=found)

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
