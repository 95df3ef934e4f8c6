"""Artifacts of a run: ``target`` at the end of each step (CONTRACT.md, section 3.8)."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from ...storage.tables import RunRow
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import NotFoundError
from ..query import parse_integer
from .runs import LISTING, find_run, folder_of


def list_artifacts(call: Call, run_id: PathId) -> JSONResponse:
    """Return the paths below ``target``; null, not an empty list, if the run left none."""
    with call.server.store.read() as session:
        step = _requested_step(session, call, run_id)
    return success(folder_of(call, run_id).list_artifacts(step) or None)


def get_artifact(call: Call, run_id: PathId, name: str) -> FileResponse:
    """Return the file itself, without an envelope."""
    with call.server.store.read() as session:
        step = _requested_step(session, call, run_id)
    return _file(folder_of(call, run_id).artifact(step, name))


def get_job_artifact(call: Call, job_id: PathId, name: str) -> FileResponse:
    """Return the file of the job's newest run that saved artifacts and matches the filters."""
    query = call.list_query(LISTING)
    newest = (
        select(RunRow)
        .where(RunRow.job_id == job_id, RunRow.account_id == call.account_id)
        .where(RunRow.artifacts_saved, *query.conditions)
        .order_by(RunRow.id.desc())
        .limit(1)
    )
    with call.server.store.read() as session:
        run = session.scalar(newest)
        if run is None:
            raise NotFoundError
        step = last_step_with_artifacts(call, run)
        return _file(folder_of(call, run.id).artifact(step, name))


def _file(path: Path | None) -> FileResponse:
    if path is None:
        raise NotFoundError
    kind = "application/json" if path.suffix == ".json" else "text/plain; charset=utf-8"
    return FileResponse(path, media_type=kind)


def _requested_step(session: Session, call: ApiCall, run_id: int) -> int:
    """Return the value of ``step``, from 1; by default the last step that saved artifacts."""
    run = find_run(session, call, run_id)
    text = call.params.get("step")
    if not text:
        return last_step_with_artifacts(call, run)
    try:
        return parse_integer(text)
    except ValueError:
        raise NotFoundError from None


def last_step_with_artifacts(call: ApiCall, run: RunRow) -> int:
    folder = folder_of(call, run.id)
    indexes = [step.index for step in run.steps if folder.artifacts(step.index).is_dir()]
    return max(indexes, default=0)
