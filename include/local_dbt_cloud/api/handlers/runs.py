"""Runs and their steps: list, get, cancel, retry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session, defer, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from ...runs.retries import (
    create_retry,
    retry_not_supported_reason,
    steps_to_retry,
)
from ...runs.run_folder import RunFolder
from ...storage.runs import newest_run_id, newest_run_ids
from ...storage.statuses import ACTIVE, Status
from ...storage.tables import RunRow, StepRow
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import InvalidRequestError, NotFoundError
from ..payloads.runs import RunView, run_payload
from ..payloads.steps import step_payload
from ..query import (
    Listing,
    above,
    between,
    equals,
    is_true,
    page_of,
    text_equals,
    text_within,
    within,
)

LISTING = Listing(
    filters={
        "job_definition_id": equals(RunRow.job_id),
        "project_id": equals(RunRow.project_id),
        "project_id__in": within(RunRow.project_id),
        "environment_id": equals(RunRow.environment_id),
        "status": equals(RunRow.status_code),
        "status__in": within(RunRow.status_code),
        "created_at__range": between(RunRow.created_at),
        "finished_at__range": between(RunRow.finished_at),
        "dbt_version": text_equals(RunRow.dbt_version),
        "dbt_version__in": text_within(RunRow.dbt_version),
        "has_docs_generated": is_true(RunRow.has_docs_generated),
        "has_sources_generated": is_true(RunRow.has_sources_generated),
        "deferring_run_id": equals(RunRow.deferring_run_id),
        "id__gt": above(RunRow.id),
        "pk": equals(RunRow.id),
        "pk__in": within(RunRow.id),
    },
    order={
        "id": RunRow.id,
        "created_at": RunRow.created_at,
        "finished_at": RunRow.finished_at,
    },
    project=RunRow.project_id,
)
# Relations that `include_related` reads, loaded once per page.
RELATED = {"run_steps": RunRow.steps, "job": RunRow.job, "environment": RunRow.environment}


def list_runs(call: Call) -> JSONResponse:
    query = call.list_query(LISTING)
    loading: list[ORMOption] = [
        selectinload(RELATED[name]) for name in call.include & RELATED.keys()
    ]
    if "job" not in call.include:
        loading.append(defer(RunRow.job_definition))
    statement = select(RunRow).where(RunRow.account_id == call.account_id)
    with call.server.store.read() as session:
        page = page_of(session, statement.options(*loading), query)
        runs = describe_runs(session, call, page.rows, call.include)
    extra = query.extra(len(runs), page.total)
    extra["filters"].setdefault("state", "all")
    return success(runs, extra)


def get_run(call: Call, run_id: PathId) -> JSONResponse:
    with call.server.store.read() as session:
        run = find_run(session, call, run_id)
        return success(describe_runs(session, call, [run], call.include)[0])


def cancel_run(call: Call, run_id: PathId) -> JSONResponse:
    """Cancel the run and wait for its end; a finished run is returned unchanged."""
    with call.server.store.read() as session:
        find_run(session, call, run_id)
    call.server.runner.cancel(run_id)
    return get_run(call, run_id)


def created_run(session: Session, call: ApiCall, run: RunRow) -> dict[str, Any]:
    """Return the response of a trigger, which always embeds trigger and job."""
    return describe_runs(session, call, [run], frozenset({"trigger", "job"}))[0]


def find_run(session: Session, call: ApiCall, run_id: int) -> RunRow:
    run = session.get(RunRow, run_id)
    if not run or run.account_id != call.account_id:
        raise NotFoundError
    return run


def folder_of(call: ApiCall, run_id: int) -> RunFolder:
    return RunFolder(call.server.settings.runs / str(run_id))


def describe_runs(
    session: Session, call: ApiCall, runs: Iterable[RunRow], include: frozenset[str]
) -> list[dict[str, Any]]:
    """Return the payloads, with the fields that depend on other runs of the same jobs."""
    runs = list(runs)
    active = _active_runs(session, {run.job_id for run in runs if run.status is Status.QUEUED})
    newest = newest_run_ids(session, {run.job_id for run in runs if run.status is Status.ERROR})
    payloads = []
    for run in runs:
        view = RunView(call.base_url, folder_of(call, run.id), include)
        if run.status is Status.QUEUED:
            queue = active.get((run.job_id, run.pull_request), [])
            earlier = (other for other in queue if other < run.id)
            view = replace(view, blocked_by=tuple(earlier))
        if run.status is Status.ERROR:
            view = replace(view, is_newest=newest[run.job_id] == run.id)
        payloads.append(run_payload(run, view))
    return payloads


def _active_runs(session: Session, job_ids: set[int]) -> dict[tuple[int, int | None], list[int]]:
    """Map job and pull request, if any, to the active runs, oldest first."""
    statement = (
        select(RunRow.job_id, RunRow.pull_request, RunRow.id)
        .where(RunRow.job_id.in_(job_ids), RunRow.status_code.in_([int(one) for one in ACTIVE]))
        .order_by(RunRow.id)
    )
    active: dict[tuple[int, int | None], list[int]] = {}
    for job_id, pull_request, run_id in session.execute(statement) if job_ids else ():
        active.setdefault((job_id, pull_request), []).append(run_id)
    return active


def get_step(call: Call, step_id: PathId) -> JSONResponse:
    """Return the whole debug log with ``include_related=debug_logs``, else its last 1,000 lines."""
    with call.server.store.read() as session:
        step = session.get(StepRow, step_id)
        if step is None:
            raise NotFoundError
        run = find_run(session, call, step.run_id)
        debug = "debug_logs" in call.include
        return success(step_payload(step, run, folder_of(call, run.id), debug))


def get_retry(call: Call, run_id: PathId) -> JSONResponse:
    """Return the failed step and the skipped ones; 404 if the run cannot be retried."""
    with call.server.store.read() as session:
        run = find_run(session, call, run_id)
        if _retry_not_supported_reason(session, run):
            raise NotFoundError
        failed, *skipped = (step.name for step in steps_to_retry(session, run))
    return success({"failed_step": failed, "skipped_steps": skipped})


def retry_run(call: Call, run_id: PathId) -> JSONResponse:
    """Queue a retry of exactly this run; return 400 with the reason if it cannot be retried."""
    with call.server.store.write() as session:
        run = find_run(session, call, run_id)
        reason = _retry_not_supported_reason(session, run)
        if reason:
            message = f"Run {run_id} cannot be retried: {reason}."
            raise InvalidRequestError(message, data={"retry_not_supported_reason": reason})
        response = created_run(session, call, create_retry(session, run))
    call.server.runner.wake()
    return success(response)


def _retry_not_supported_reason(session: Session, run: RunRow) -> str | None:
    return retry_not_supported_reason(run, is_newest=newest_run_id(session, run.job_id) == run.id)
