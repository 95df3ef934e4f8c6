"""Census's REST API (now Fivetran Activations), limited to what the Airflow provider uses.

https://fivetran.com/docs/activations/rest-api/api-reference/introduction
"""

from __future__ import annotations

import hmac
import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from include.local_fivetran_census.activation import SYNCS, Sync, send
from include.local_fivetran_census.errors import ApiError
from include.local_fivetran_census.settings import Settings

logger = logging.getLogger(__name__)


class SyncRuns:
    """The sync runs of this process; their files are kept when it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        numbers = (int(file.stem) for file in folder.glob("*.jsonl") if file.stem.isdecimal())
        self._newest = max(numbers, default=0)
        self._runs: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def start(self, sync: Sync) -> int:
        """Send in the background; return the sync run's id."""
        with self._lock:
            self._newest += 1
            run_id = self._newest
        self._runs[run_id] = {
            "id": run_id,
            "sync_id": sync.id,
            "status": "working",
            "created_at": _now(),
            "completed_at": None,
            "error_message": None,
            "error_detail": None,
        }
        threading.Thread(target=self._send, args=(sync, run_id), daemon=True).start()
        return run_id

    def find(self, run_id: int) -> dict[str, Any]:
        if run_id in self._runs:
            return self._runs[run_id]
        raise not_found(f"Sync run {run_id} does not exist.")

    def _send(self, sync: Sync, run_id: int) -> None:
        result: dict[str, Any]
        try:
            sent = send(sync, self.folder / f"{run_id}.jsonl")
        except Exception as error:
            logger.exception("Sync run %s failed", run_id)
            result = {"status": "failed", "error_message": str(error)}
        else:
            result = {
                "status": "completed",
                "source_record_count": sent.records,
                "source_record_invalids": sent.invalid,
                "records_processed": sent.records - sent.invalid,
                "records_updated": sent.records - sent.invalid,
                "records_failed": 0,
            }
        self._runs[run_id] = {**self._runs[run_id], **result, "completed_at": _now()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def not_found(message: str) -> ApiError:
    return ApiError(404, {"status": "not_found", "message": message})


def _success(data: Any, **more: Any) -> JSONResponse:
    return JSONResponse({"status": "success", "data": data, **more})


def router(settings: Settings) -> APIRouter:
    """Return the routes below ``/api/v1``; all of them need the token."""
    expected = f"Bearer {settings.census_token}".encode()

    def authenticate(request: Request) -> None:
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, expected):
            message = "The workspace's API token is wrong."
            raise ApiError(401, {"status": "unauthorized", "message": message})

    runs = SyncRuns(settings.sent)
    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(authenticate)])

    @routes.get("/syncs")
    def syncs() -> JSONResponse:
        listed = [{"id": sync.id, "label": sync.label, "paused": False} for sync in SYNCS.values()]
        pages = {"total_records": len(listed), "page": 1, "last_page": 1, "next_page": None}
        return _success(listed, pagination=pages)

    @routes.post("/syncs/{sync_id}/trigger")
    def trigger(sync_id: int) -> JSONResponse:
        if sync_id not in SYNCS:
            raise not_found(f"Sync {sync_id} does not exist.")
        return _success({"sync_run_id": runs.start(SYNCS[sync_id])})

    @routes.get("/sync_runs/{run_id}")
    def sync_run(run_id: int) -> JSONResponse:
        return _success(runs.find(run_id))

    @routes.api_route(
        "/{path:path}", methods=["GET", "POST", "PATCH", "PUT", "DELETE"], include_in_schema=False
    )
    def missing(path: str, request: Request) -> JSONResponse:
        message = f"The local Census has no {request.method} /api/v1/{path}: see its README.md."
        raise ApiError(501, {"status": "not_implemented", "message": message})

    return routes
