"""The page's app, behind Airflow's login.

Airflow does not authenticate plugin endpoints, so the app uses Airflow's own dependency for it.
The page requires permission to read the Dag that stores the history.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from ..airflow.api_server import requires_access_dag
from .accounts import Accounts
from .rendering import page
from .routes import history_router, router

STATIC = Path(__file__).parent / "static"
log = logging.getLogger(__name__)
MESSAGES = {
    401: "You are not logged in: log in to Airflow, then open this page again.",
    403: "You are not allowed to see this page: it requires read access to the Dag {dag_id}.",
}


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
    app.mount("/static", StaticFiles(directory=STATIC))
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
