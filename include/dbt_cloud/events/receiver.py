"""A FastAPI app for a plugin that receives dbt Cloud's webhooks and creates asset events.

Airflow does not authenticate plugin endpoints, so each call's signature is checked. dbt Cloud
repeats an event until it receives 2xx, which is returned once the asset events are committed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from anyio import CapacityLimiter, to_thread
from cachetools import TTLCache, cached
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from ..airflow.compat import AirflowNotFoundException
from ..airflow.server import AssetModel, Connection, create_session
from .assets import CONN_ID
from .deduplication import register_once
from .fields import mapping, moment, number
from .finished_run import STATUSES, FinishedRun
from .run_filter import RunFilter, prefix_of
from .signature import is_signed

WEBHOOKS = "dbt_cloud_webhooks"  # the connection with the secret
RUN_COMPLETED = "job.run.completed"  # for every final status
DEFAULT_HOST = "cloud.getdbt.com"  # the provider's default
MAX_BODY = 256 * 1024  # bytes; dbt Cloud's bodies have about one thousand
SETUP_SECONDS = 5.0  # until a changed connection is read
BODY_SECONDS = 10.0  # time limit for a body, as in dbt Cloud
# Later, the run's event may be deleted from Airflow's database, so a repetition would look new.
MAX_AGE = timedelta(days=7)

log = logging.getLogger(__name__)
threads = CapacityLimiter(4)  # and database connections, so that a burst does not block Airflow
app = FastAPI(title="dbt Cloud's webhooks", openapi_url=None)


class RefusedError(Exception):
    """A webhook is refused, with the response's status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Setup:
    """Settings from Airflow's two connections."""

    secrets: list[str]
    conn_id: str
    account_id: str
    host: str


@cached(TTLCache(maxsize=1, ttl=SETUP_SECONDS), lock=Lock())
def read_setup() -> Setup:
    webhooks = connection(WEBHOOKS)
    extra = webhooks.extra_dejson
    conn_id = extra.get("dbt_cloud_conn_id", CONN_ID) if isinstance(extra, dict) else None
    if not isinstance(conn_id, str):
        example = f'{{"dbt_cloud_conn_id": "{CONN_ID}"}}'
        raise RefusedError(
            503, f"Could not read a connection id from the extra of {WEBHOOKS}: write {example}."
        )
    dbt_cloud = connection(conn_id)
    secrets = (webhooks.password or "").split()
    if not secrets:
        raise RefusedError(503, f"The connection {WEBHOOKS} has no password: set the secret.")
    if not dbt_cloud.login:
        raise RefusedError(503, f"The connection {conn_id} has no login: set the account id.")
    host = webhooks.host or dbt_cloud.host or DEFAULT_HOST
    return Setup(secrets, conn_id, dbt_cloud.login, host)


@app.post("/dbt-cloud", include_in_schema=False)
@app.post("/dbt-cloud/", include_in_schema=False)
async def receive(request: Request) -> JSONResponse:
    """Receive a webhook; use the database in a thread."""
    try:
        body = await read_body(request)
        signature = request.headers.get("Authorization", "")
        done = await to_thread.run_sync(handle_webhook, body, signature, limiter=threads)
    except RefusedError as error:
        log.warning("Refused a webhook with %s: %s", error.status, error)
        return JSONResponse({"detail": str(error)}, error.status)
    return JSONResponse({"detail": done})


async def read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise RefusedError(413, f"The body has more than {MAX_BODY} bytes.")
    except TimeoutError:
        reason = f"The body did not arrive within {BODY_SECONDS:g} seconds."
        raise RefusedError(408, reason) from None
    except ClientDisconnect:
        raise RefusedError(400, "The body is incomplete.") from None
    return bytes(body)


def handle_webhook(body: bytes, signature: str) -> str:
    """Create the webhook's asset events; return the response's text."""
    try:
        setup = read_setup()
        if not is_signed(body, signature, setup.secrets):
            raise RefusedError(401, f"The signature does not match the secret of {WEBHOOKS}.")
        run = finished_run(body, setup)
        return make_events(run, setup.conn_id) if run else "Ignored: not a finished run."
    except SQLAlchemyError as error:
        log.warning("Airflow's database failed: %s", str(error).splitlines()[0])
        raise RefusedError(503, "Airflow's database failed: send the webhook again.") from None


def finished_run(body: bytes, setup: Setup) -> FinishedRun | None:
    """Return the run; None for other events, and for dbt Cloud's test of an endpoint."""
    try:
        webhook = mapping("The body", json.loads(body))
        account_id = str(number("accountId", webhook.get("accountId")))
        sent_at = moment("timestamp", webhook.get("timestamp"))
        run = FinishedRun.of_webhook(webhook, setup.host) if is_end_of_run(webhook) else None
    except (ValueError, RecursionError) as error:  # a body of thousands of brackets
        reason = f"The signature is valid, but the body is not as documented: {error}."
        raise RefusedError(400, reason) from None
    if account_id != setup.account_id:
        ours = f"{setup.conn_id} is for {setup.account_id}"
        raise RefusedError(403, f"The webhook is for account {account_id}, but {ours}.")
    if run and datetime.now(UTC) - sent_at > MAX_AGE:
        log.warning("Ignored a webhook of dbt Cloud run %s: older than %s.", run.run_id, MAX_AGE)
        return None
    return run


def is_end_of_run(webhook: dict[str, Any]) -> bool:
    if not isinstance(event_type := webhook.get("eventType"), str):
        raise ValueError("eventType is missing")
    if event_type != RUN_COMPLETED:
        return False
    code = mapping("data", webhook.get("data")).get("runStatusCode")
    return number("runStatusCode", code) in STATUSES


def make_events(run: FinishedRun, conn_id: str) -> str:
    """Create one event for each asset that includes the run, all or none; return a summary."""
    with create_session() as session:
        assets = session.scalars(
            select(AssetModel)
            .where(AssetModel.uri.startswith(prefix_of(conn_id), autoescape=True))
            .where(AssetModel.active.has())
            .order_by(AssetModel.id)  # one order of locks, against deadlocks
        ).all()
        about = [asset for asset in assets if is_about(asset, run)]
        made = [register_once(asset, run, session) for asset in about]
        count = len([event for event in made if event])
    if not about:
        return f"Run {run.run_id} has finished, and no Dag has an asset that includes it."
    log.info("dbt Cloud run %s has finished: %s new asset events.", run.run_id, count)
    return f"Run {run.run_id}: {count} new asset events, {len(about) - count} already existed."


def is_about(asset: AssetModel, run: FinishedRun) -> bool:
    try:
        return RunFilter.of_uri(asset.uri).fits(run)
    except ValueError:
        log.warning("The asset %s gets no events: create it with job_runs().", asset.uri)
        return False


def connection(conn_id: str) -> Connection:
    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:  # also for a malformed one, or an unavailable database
        reason = f"Airflow has no usable connection {conn_id}, or its database is unavailable."
        raise RefusedError(503, reason) from None
