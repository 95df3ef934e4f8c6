"""Fivetran's REST API, limited to what the Airflow provider's operator and sensor use.

https://fivetran.com/docs/rest-api/api-reference
"""

from __future__ import annotations

import hmac
import logging
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from include.local_fivetran_census.errors import ApiError
from include.local_fivetran_census.landing import land_new_rows
from include.local_fivetran_census.settings import Settings

logger = logging.getLogger(__name__)

CONNECTOR_ID = "jaffle_shop_files"
GROUP = {"id": "jaffle_shop_warehouse", "name": "Warehouse"}


class Change(BaseModel):
    """The fields of a connector that can be changed; other keys of the body are ignored."""

    paused: bool | None = None
    schedule_type: Literal["manual", "auto"] | None = None


@dataclass
class Connector:
    """The only connector: new and paused, as Fivetran creates them; a restart resets it."""

    paused: bool = True
    schedule_type: str = "auto"
    syncing: bool = False
    succeeded_at: str | None = None
    failed_at: str | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def named(self, connector_id: str) -> Connector:
        """Return this connector; raise ApiError for any other id."""
        if connector_id == CONNECTOR_ID:
            return self
        message = f"Connector with id '{connector_id}' does not exist."
        raise ApiError(404, {"code": "NotFound_Connector", "message": message})

    def change(self, change: Change) -> None:
        self.paused = self.paused if change.paused is None else change.paused
        self.schedule_type = change.schedule_type or self.schedule_type

    def start(self) -> None:
        """Sync in the background; one sync at a time."""
        with self._lock:
            if self.syncing:
                return
            self.syncing = True
        threading.Thread(target=self._sync, daemon=True).start()

    def _sync(self) -> None:
        try:
            landed = land_new_rows()
        except Exception:
            logger.exception("The sync of connector %s failed", CONNECTOR_ID)
            self.failed_at = _now()
        else:
            print(f"Connector {CONNECTOR_ID} landed {landed}", flush=True)
            self.succeeded_at = _now()
        self.syncing = False

    def details(self) -> dict[str, Any]:
        """Return the object that Fivetran calls a connector."""
        state = "paused" if self.paused else "scheduled"
        return {
            "id": CONNECTOR_ID,
            "group_id": GROUP["id"],
            "service": "s3",
            "service_version": 1,
            "schema": "raw",
            "paused": self.paused,
            "schedule_type": self.schedule_type,
            "succeeded_at": self.succeeded_at,
            "failed_at": self.failed_at,
            "status": {
                "setup_state": "connected",
                "sync_state": "syncing" if self.syncing else state,
                "update_state": "on_schedule",
                "is_historical_sync": self.succeeded_at is None,
                "tasks": [],
                "warnings": [],
            },
            "config": {},
        }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _success(data: Any = None, message: str = "Success") -> JSONResponse:
    return JSONResponse({"code": "Success", "message": message, "data": data})


def _page(items: list[dict[str, Any]]) -> JSONResponse:
    return _success({"items": items, "next_cursor": None})


def authentication(settings: Settings) -> Callable[[Request], None]:
    """Return the check for the API key and its secret."""
    pair = f"{settings.fivetran_key}:{settings.fivetran_secret}".encode()
    expected = b"Basic " + b64encode(pair)

    def authenticate(request: Request) -> None:
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, expected):
            message = "The API key or its secret is wrong."
            raise ApiError(401, {"code": "Unauthorized", "message": message})

    return authenticate


def router(settings: Settings) -> APIRouter:
    """Return the routes below ``/v1``; all of them need the API key and its secret."""
    connector = Connector()
    routes = APIRouter(prefix="/v1", dependencies=[Depends(authentication(settings))])

    @routes.get("/users")
    def users() -> JSONResponse:
        return _page([])

    @routes.get("/groups/")
    def groups() -> JSONResponse:
        return _page([GROUP])

    @routes.get("/groups/{group_id}/connectors/")
    def connectors(group_id: str) -> JSONResponse:
        return _page([connector.details()] if group_id == GROUP["id"] else [])

    @routes.get("/connectors/{connector_id}")
    def details(connector_id: str) -> JSONResponse:
        return _success(connector.named(connector_id).details())

    @routes.patch("/connectors/{connector_id}")
    def change(connector_id: str, body: Change) -> JSONResponse:
        connector.named(connector_id).change(body)
        return _success(connector.details(), "Connector has been updated")

    @routes.post("/connectors/{connector_id}/test")
    def test(connector_id: str) -> JSONResponse:
        return _success(connector.named(connector_id).details(), "Setup tests have been completed")

    @routes.post("/connectors/{connector_id}/force")
    def force(connector_id: str) -> JSONResponse:
        connector.named(connector_id).start()
        message = f"Sync has been successfully triggered for connector with id '{connector_id}'"
        return _success(message=message)

    @routes.api_route(
        "/{path:path}", methods=["GET", "POST", "PATCH", "PUT", "DELETE"], include_in_schema=False
    )
    def missing(path: str, request: Request) -> JSONResponse:
        message = f"The local Fivetran has no {request.method} /v1/{path}: see its README.md."
        raise ApiError(501, {"code": "NotImplemented", "message": message})

    return routes
