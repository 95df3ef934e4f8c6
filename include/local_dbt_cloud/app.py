"""The FastAPI application: routes, the token, trailing slashes, and errors in the envelope."""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from .api import pages
from .api.access import SERVICE_TOKEN
from .api.dependencies import Server
from .api.envelope import failure
from .api.errors import (
    ApiError,
    InvalidRequestError,
    InvalidTokenError,
    MethodNotAllowedError,
    NotFoundError,
    NotImplementedHereError,
    PermissionDeniedError,
)
from .api.fault_injection import FaultInjection
from .api.faults import Faults, parse_fault
from .api.openapi import describe
from .api.request_log import RequestLog
from .api.routes import ROUTES
from .runs.runner import Runner
from .runs.scheduler import Scheduler
from .runs.warehouse import Warehouse
from .settings import Settings
from .start_checks import with_run_slots
from .storage.jobs_file import JobsFile
from .storage.profiles import Output
from .storage.store import Store
from .storage.without_effect import fields_without_effect
from .webhooks.events import record_events
from .webhooks.sender import Sender

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


def make_server(settings: Settings, jobs_file: JobsFile, outputs: Mapping[int, Output]) -> Server:
    """Return the objects that every call uses; the store records webhook events at each commit."""
    jobs_file = with_run_slots(jobs_file, outputs.values())
    store = Store(settings.database, before_commit=record_events)
    store.apply_jobs_file(jobs_file)
    own = None if settings.profiles_dir else settings.warehouse
    runner = Runner(
        settings, store, Warehouse(own, jobs_file.before_runs), jobs_file.account.run_slots
    )
    faults = Faults(map(parse_fault, settings.faults))
    server = Server(settings, store, runner, jobs_file, outputs, faults)
    for job in jobs_file.jobs:
        for name in fields_without_effect(job):
            server.announce(name)
    return server


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
    add_layers(app, server)
    return app


def add_layers(app: FastAPI, server: Server) -> None:
    """Add what every call passes through; the last one added is the first to see it."""
    app.add_middleware(FaultInjection, faults=server.faults)
    app.add_middleware(TokenRequired, token=server.settings.token, find_token=server.find_token)
    app.add_middleware(TrailingSlash)
    if server.settings.log_requests:
        app.add_middleware(RequestLog)


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
    """Returns 401 for every call without a valid token, except for pages and ``/health``.

    ``find_token`` returns the id of a service token. Such tokens open dbt Cloud's API only: faults
    and the reset need the token of the start.
    """

    def __init__(self, app: ASGIApp, token: str, find_token: Callable[[str], int | None]) -> None:
        self._app = app
        self._token = token.encode()
        self._find_token = find_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent, path = sent_token(scope), scope["path"]
        if (sent is None and is_open(path)) or (
            sent is not None and hmac.compare_digest(sent, self._token)
        ):
            await self._app(scope, receive, send)
        elif (token_id := await self._service_token(sent)) is None:
            await failure(InvalidTokenError())(scope, receive, send)
        elif path.startswith("/api/") or is_open(path):
            await self._app({**scope, SERVICE_TOKEN: token_id}, receive, send)
        else:
            await failure(PermissionDeniedError())(scope, receive, send)

    async def _service_token(self, sent: bytes | None) -> int | None:
        text = (sent or b"").decode("latin-1")
        return await run_in_threadpool(self._find_token, text) if text else None


def sent_token(scope: Scope) -> bytes | None:
    """Return the token; None without the header, and empty for an unknown scheme."""
    sent = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    if sent is None:
        return None
    scheme, _, token = sent.partition(b" ")
    return bytes(token.strip()) if scheme.decode("latin-1").lower() in SCHEMES else b""


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
    if error.status_code in (404, 405) and path.startswith("/api/"):
        return failure(NotImplementedHereError(request.method, path))
    if error.status_code == 405:
        return failure(MethodNotAllowedError(), {"Allow": ", ".join(_methods_of(request))})
    if error.status_code == 404:
        return await handle_api_error(request, NotFoundError())
    return failure(InvalidRequestError(str(error.detail)))


async def handle_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return failure(ApiError())


def _methods_of(request: Request) -> list[str]:
    """Return all methods of the URL; each is a separate route."""
    routes = (route for route in request.app.routes if isinstance(route, APIRoute))
    matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in route.methods})


def _names_artifact(path: str) -> bool:
    return path.partition("/artifacts/")[2] != ""
