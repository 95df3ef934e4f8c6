"""Artifacts of a run: what ``target`` held when a step ended."""

from __future__ import annotations

from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy.orm import Session

from include.local_dbt_cloud.call import ApiCall, Call, PathId
from include.local_dbt_cloud.envelope import success
from include.local_dbt_cloud.errors import NotFoundError
from include.local_dbt_cloud.handlers.runs import find_run, folder_of
from include.local_dbt_cloud.query import parse_integer
from include.local_dbt_cloud.rows import RunRow


def list_artifacts(call: Call, run_id: PathId) -> JSONResponse:
    """Paths below ``target``; null, not an empty list, for a run that left nothing."""
    with call.server.store.read() as session:
        step = _wanted_step(session, call, run_id)
    return success(folder_of(call, run_id).list_artifacts(step) or None)


def get_artifact(call: Call, run_id: PathId, name: str) -> FileResponse:
    """The file itself, without an envelope."""
    with call.server.store.read() as session:
        step = _wanted_step(session, call, run_id)
    path = folder_of(call, run_id).artifact(step, name)
    if path is None:
        raise NotFoundError
    kind = "application/json" if path.suffix == ".json" else "text/plain; charset=utf-8"
    return FileResponse(path, media_type=kind)


def _wanted_step(session: Session, call: ApiCall, run_id: int) -> int:
    """The step that ``step`` names, counted from 1, else the last one that saved artifacts."""
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
