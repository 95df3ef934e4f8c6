"""A FastAPI app for a plugin that receives dbt Cloud's webhooks and creates asset events.

Airflow does not authenticate plugin endpoints, so each call's signature is checked. dbt Cloud
repeats an event until it receives 2xx, which is returned once the asset events are committed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from ..airflow.server import AssetModel, create_session
from ..api.accounts import Account
from .deduplication import has_event, register
from .fields import mapping, moment, number
from .finished_run import STATUSES, FinishedRun
from .run_filter import RunFilter, prefix_of
from .senders import RefusedError, Sender, read_setup, sender_of, signers_of

RUN_COMPLETED = "job.run.completed"  # for every final status
MAX_BODY = 256 * 1024  # bytes; dbt Cloud's bodies have about one thousand
BODY_SECONDS = 10.0  # time limit for a body, as in dbt Cloud
# Later, the run's event may be deleted from Airflow's database, so a repetition would look new.
MAX_AGE = timedelta(days=7)

log = logging.getLogger(__name__)
threads = CapacityLimiter(4)  # and database connections, so that a burst does not block Airflow
app = FastAPI(title="dbt Cloud's webhooks", openapi_url=None)


@app.post("/dbt-cloud", include_in_schema=False)
@app.post("/dbt-cloud/", include_in_schema=False)
async def receive(request: Request) -> JSONResponse:
    """Receive a webhook; use the database in a thread."""
    try:
        body = await read_body(request)
        signature = request.headers.get("Authorization", "")
        done = await to_thread.run_sync(handle_webhook, body, signature, limiter=threads)
    except RefusedError as error:
        reason = f"{error} {error.details}".strip()
        log.warning("Refused a webhook with %s: %s", error.status, reason)
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
        run, account = finished_run(body, signers_of(body, signature, setup))
        # All connections to the account, whichever has the secret.
        conn_ids = [one.conn_id for one in setup.senders if one.account == account]
        return make_events(run, conn_ids) if run else "Ignored: not a finished run."
    except SQLAlchemyError as error:
        log.warning("Airflow's database failed: %s", str(error).splitlines()[0])
        raise RefusedError(503, "Airflow's database failed: send the webhook again.") from None


def finished_run(body: bytes, signers: list[Sender]) -> tuple[FinishedRun | None, Account]:
    """Return run and account; no run for other events, and for dbt Cloud's test of an endpoint."""
    try:
        webhook = mapping("The body", json.loads(body))
        sender = sender_of(number("accountId", webhook.get("accountId")), signers)
        sent_at = moment("timestamp", webhook.get("timestamp"))
        run = None
        if is_end_of_run(webhook):
            run = FinishedRun.of_webhook(webhook, sender.account, sender.pages_host)
    except (ValueError, RecursionError) as error:  # a body of thousands of brackets
        reason = f"The signature is valid, but the body is not as documented: {error}."
        raise RefusedError(400, reason) from None
    if run and datetime.now(UTC) - sent_at > MAX_AGE:
        log.warning("Ignored a webhook of dbt Cloud run %s: older than %s.", run.run_id, MAX_AGE)
        run = None
    return run, sender.account


def is_end_of_run(webhook: dict[str, Any]) -> bool:
    if not isinstance(event_type := webhook.get("eventType"), str):
        raise ValueError("eventType is missing")
    if event_type != RUN_COMPLETED:
        return False
    code = mapping("data", webhook.get("data")).get("runStatusCode")
    return number("runStatusCode", code) in STATUSES


def make_events(run: FinishedRun, conn_ids: list[str]) -> str:
    """Create one event for each asset that includes the run, all or none; return a summary.

    ``conn_ids`` are the connections to the run's account.
    """
    of_account = [
        AssetModel.uri.startswith(prefix_of(conn_id), autoescape=True) for conn_id in conn_ids
    ]
    with create_session() as session:
        assets = session.scalars(
            select(AssetModel)
            .where(or_(*of_account))
            .where(AssetModel.active.has())
            .order_by(AssetModel.id)  # one order of locks, against deadlocks
        ).all()
        about = [asset for asset in assets if is_about(asset, run)]
        new = [asset for asset in about if not has_event(asset, run, session)]
        for asset in new:  # all are locked, since a Dag run takes events by their times
            register(asset, run, session)
        count = len(new)
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
