"""Receives dbt Cloud's webhooks and makes asset events of them: a FastAPI app for a plugin.

Airflow serves a plugin's app to everybody, so each call is judged by its signature. dbt Cloud
sends an event again until it hears 2xx, so that is answered once the asset events are committed.
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
from .fields import mapping, moment, number
from .finished_run import STATUSES, FinishedRun
from .once import register_once
from .signature import is_signed
from .wanted import Wanted, prefix_of

WEBHOOKS = "dbt_cloud_webhooks"  # the connection with the secret
FINISHED = "job.run.completed"  # dbt Cloud's word for any end
DEFAULT_HOST = "cloud.getdbt.com"  # the provider's, of a connection that names none
MAX_BODY = 256 * 1024  # bytes; dbt Cloud's bodies have about one thousand
SETUP_SECONDS = 5.0  # until a changed connection is seen
BODY_SECONDS = 10.0  # until a body has to be there; dbt Cloud gives up after these
# Later the event of its run may be gone from Airflow's database, and a repetition look new.
MAX_AGE = timedelta(days=7)

log = logging.getLogger(__name__)
threads = CapacityLimiter(4)  # and database connections: a burst leaves the others to Airflow
app = FastAPI(title="dbt Cloud's webhooks", openapi_url=None)


class RefusedError(Exception):
    """A webhook is not taken; ``status`` is the answer's, the text says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Setup:
    """What Airflow's two connections say."""

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
            503, f"The extra of {WEBHOOKS} names no connection: write it as {example}."
        )
    dbt_cloud = connection(conn_id)
    secrets = (webhooks.password or "").split()
    if not secrets:
        raise RefusedError(503, f"The connection {WEBHOOKS} has no password: enter the secret.")
    if not dbt_cloud.login:
        raise RefusedError(503, f"The connection {conn_id} has no login: enter the account id.")
    host = webhooks.host or dbt_cloud.host or DEFAULT_HOST
    return Setup(secrets, conn_id, dbt_cloud.login, host)


@app.post("/dbt-cloud", include_in_schema=False)
@app.post("/dbt-cloud/", include_in_schema=False)
async def receive(request: Request) -> JSONResponse:
    """One webhook. The work on the database is done in a thread."""
    try:
        body = await read_body(request)
        signature = request.headers.get("Authorization", "")
        done = await to_thread.run_sync(take, body, signature, limiter=threads)
    except RefusedError as error:
        log.warning("A webhook is refused with %s: %s", error.status, error)
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
        reason = f"The body was not there within {BODY_SECONDS:g} seconds."
        raise RefusedError(408, reason) from None
    except ClientDisconnect:
        raise RefusedError(400, "The body was not sent to its end.") from None
    return bytes(body)


def take(body: bytes, signature: str) -> str:
    """Returns what became of a webhook."""
    try:
        setup = read_setup()
        if not is_signed(body, signature, setup.secrets):
            raise RefusedError(401, f"It is not signed with the secret of {WEBHOOKS}.")
        run = finished_run(body, setup)
        return make_events(run, setup.conn_id) if run else "This tells of no finished run."
    except SQLAlchemyError as error:
        log.warning("Airflow's database says: %s", str(error).splitlines()[0])
        raise RefusedError(503, "Airflow's database did not do it: send it again.") from None


def finished_run(body: bytes, setup: Setup) -> FinishedRun | None:
    """None for other events, and for the made-up run by which dbt Cloud tests an endpoint."""
    try:
        told = mapping("The body", json.loads(body))
        account_id = str(number("accountId", told.get("accountId")))
        sent_at = moment("timestamp", told.get("timestamp"))
        run = FinishedRun.of_webhook(told, setup.host) if tells_of_an_end(told) else None
    except (ValueError, RecursionError) as error:  # a body of thousands of brackets
        reason = f"It is signed and not what dbt Cloud documents: {error}."
        raise RefusedError(400, reason) from None
    if account_id != setup.account_id:
        reason = f"It is of account {account_id}, and {setup.conn_id} of {setup.account_id}."
        raise RefusedError(403, reason)
    if run and datetime.now(UTC) - sent_at > MAX_AGE:
        log.warning("dbt Cloud run %s is told of more than %s late.", run.run_id, MAX_AGE)
        return None
    return run


def tells_of_an_end(told: dict[str, Any]) -> bool:
    if not isinstance(event_type := told.get("eventType"), str):
        raise ValueError("eventType is missing")
    if event_type != FINISHED:
        return False
    code = mapping("data", told.get("data")).get("runStatusCode")
    return number("runStatusCode", code) in STATUSES


def make_events(run: FinishedRun, conn_id: str) -> str:
    """One event for each asset that is about the run, all of them or none."""
    with create_session() as session:
        assets = session.scalars(
            select(AssetModel)
            .where(AssetModel.uri.startswith(prefix_of(conn_id), autoescape=True))
            .where(AssetModel.active.has())
            .order_by(AssetModel.id)  # whoever locks several does it in this order
        ).all()
        about = [asset for asset in assets if wants(asset, run)]
        made = [register_once(asset, run, session) for asset in about]
        count = len([event for event in made if event])
    if not about:
        return f"Run {run.run_id} has ended, and no Dag has an asset that is about it."
    log.info("dbt Cloud run %s has ended: %s new asset events.", run.run_id, count)
    return f"Run {run.run_id} has ended: {count} new asset events, {len(about) - count} known."


def wants(asset: AssetModel, run: FinishedRun) -> bool:
    try:
        return Wanted.of_uri(asset.uri).fits(run)
    except ValueError:
        log.warning("The asset %s gets no events: make it with job_runs().", asset.uri)
        return False


def connection(conn_id: str) -> Connection:
    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:  # also if it is malformed, or the database does not answer
        reason = (
            f"Airflow has no connection {conn_id} that can be used, or no database that answers."
        )
        raise RefusedError(503, reason) from None
