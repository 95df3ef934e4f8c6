"""The FastAPI application: routes, the token, trailing slashes, and errors in the envelope."""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from include.local_dbt_cloud.api import pages
from include.local_dbt_cloud.api.dependencies import Server
from include.local_dbt_cloud.api.envelope import failure
from include.local_dbt_cloud.api.errors import (
    ApiError,
    InvalidRequestError,
    InvalidTokenError,
    MethodNotAllowedError,
    NotFoundError,
    NotImplementedHereError,
)
from include.local_dbt_cloud.api.fault_injection import FaultInjection
from include.local_dbt_cloud.api.faults import Faults, parse_fault
from include.local_dbt_cloud.api.openapi import describe
from include.local_dbt_cloud.api.routes import ROUTES
from include.local_dbt_cloud.runs.runner import Runner
from include.local_dbt_cloud.runs.scheduler import Scheduler
from include.local_dbt_cloud.settings import Settings
from include.local_dbt_cloud.storage.jobs_file import JobsFile
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.webhooks.events import record_events
from include.local_dbt_cloud.webhooks.sender import Sender

SCHEMES = frozenset({"token", "bearer"})
OPEN_PATHS = frozenset({"/", "/health", "/openapi.json"})
OPEN_PREFIX = "/deploy/"
PROJECT_PAGES = f"{OPEN_PREFIX}{{account_id}}/projects/{{project_id}}"
PAGES: dict[str, Callable[..., Response]] = {
    "/": pages.home,
    f"{PROJECT_PAGES}/jobs/{{job_id}}": pages.job_page,
    f"{PROJECT_PAGES}/runs/{{run_id}}": pages.run_page,
    f"{PROJECT_PAGES}/runs/{{run_id}}/lineage": pages.lineage_page,
    f"{OPEN_PREFIX}scripts/{{name}}": pages.script,
    f"{PROJECT_PAGES}/runs/{{run_id}}/artifacts/{{step}}/{{name:path}}": pages.artifact_page,
}

log = logging.getLogger(__name__)


def make_server(settings: Settings, jobs_file: JobsFile) -> Server:
    """Return the objects that every call uses; the store records webhook events at each commit."""
    store = Store(settings.database, before_commit=record_events)
    store.apply_jobs_file(jobs_file)
    runner = Runner(settings, store, jobs_file.account.run_slots)
    faults = Faults(map(parse_fault, settings.faults))
    return Server(settings, store, runner, jobs_file.account.id, faults)


def create_app(server: Server) -> FastAPI:
    """Return the application, which starts and stops the runner, sender and scheduler."""
    settings = server.settings
    sender = Sender(server.store, settings.webhook_waits, settings.webhook_timeout)
    scheduler = Scheduler(server.store, server.runner.wake)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        server.runner.start()
        sender.start()
        scheduler.start()
        yield
        scheduler.stop()
        server.runner.stop()
        sender.stop()
        server.store.close()

    app = FastAPI(
        title="local dbt Cloud",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.server = server
    for route in ROUTES:
        app.add_api_route(route.path, route.handler, methods=[route.method], response_model=None)
    app.add_api_route("/health", lambda: health(server), include_in_schema=False)
    for path, page in PAGES.items():
        app.add_api_route(path, page, response_model=None, include_in_schema=False)
    describe(app, ROUTES, server.account_id)
    app.add_exception_handler(ApiError, handle_api_error)
    app.add_exception_handler(RequestValidationError, handle_validation_error)
    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(Exception, handle_unexpected_error)
    app.add_middleware(FaultInjection, faults=server.faults)
    app.add_middleware(TokenRequired, token=settings.token)
    app.add_middleware(TrailingSlash)
    return app


def health(server: Server) -> dict[str, Any]:
    """Return the server's name and account; needs no token."""
    return {"name": "local dbt Cloud", "account_id": server.account_id}


class TrailingSlash:
    """Removes one trailing slash, so that both forms are the same URL.

    It never redirects: clients would turn a POST into a GET.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if len(path) > 1 and path.endswith("/") and not _names_artifact(path):
            scope = {**scope, "path": path[:-1]}
        await self._app(scope, receive, send)


class TokenRequired:
    """Returns 401 for every call without the token, except for pages and ``/health``."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope):
            await failure(InvalidTokenError())(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        if sent is None:
            return is_open(scope["path"])
        scheme, _, token = sent.partition(b" ")
        is_accepted = scheme.decode("latin-1").lower() in SCHEMES
        return is_accepted and hmac.compare_digest(token.strip(), self._token)


def is_open(path: str) -> bool:
    """Return whether a path needs no token; unlisted paths need one."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


async def handle_api_error(request: Request, error: Exception) -> Response:
    """Return the envelope, or a page if a page was requested."""
    assert isinstance(error, ApiError)
    if request.scope["path"].startswith(OPEN_PREFIX):
        return pages.missing_page(error.code)
    return failure(error)


async def handle_validation_error(request: Request, error: Exception) -> Response:
    """Return 404 for an invalid id in the path, 400 for any other invalid input."""
    assert isinstance(error, RequestValidationError)
    if any(one["loc"][0] == "path" for one in error.errors()):
        return await handle_api_error(request, NotFoundError())
    return failure(InvalidRequestError())


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Return the router's own errors in the envelope."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if error.status_code == 405:
        return failure(MethodNotAllowedError(), {"Allow": ", ".join(_methods_of(request))})
    if error.status_code == 404 and path.startswith("/api/"):
        return failure(NotImplementedHereError(request.method, path))
    if error.status_code == 404:
        return await handle_api_error(request, NotFoundError())
    return failure(InvalidRequestError(str(error.detail)))


async def handle_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return failure(ApiError())


def _methods_of(request: Request) -> list[str]:
    """Return all methods of the URL; each is a separate route."""
    routes = [route for route in request.app.routes if isinstance(route, APIRoute)]
    matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in route.methods})


def _names_artifact(path: str) -> bool:
    return path.partition("/artifacts/")[2] != ""
