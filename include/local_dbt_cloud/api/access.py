"""What the token of a call may do (CONTRACT.md, section 3.14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from sqlalchemy.orm import Session

from ..storage.service_tokens import grants_of
from ..storage.store import Store
from ..storage.tables import EnvironmentRow, JobRow, ResourceRow, RunRow, StepRow
from .errors import PermissionDeniedError
from .permissions import ACCOUNT_AREAS, area_of, projects_granted

SERVICE_TOKEN = "service_token_id"
IN_PROJECT: Mapping[str, Any] = {
    "environment_id": EnvironmentRow,
    "job_id": JobRow,
    "resource_id": ResourceRow,
    "run_id": RunRow,
}


def granted_projects(request: Request, store: Store) -> frozenset[int | None] | None:
    """Return the projects that the token allows this call for; None is every project.

    Raises:
        PermissionDeniedError: the call is not allowed in any project, or not in that of the URL.
    """
    token_id = request.scope.get(SERVICE_TOKEN)
    if token_id is None:
        return None
    area = area_of(request.method, request.scope["route"].path)
    if area is None:
        return None
    with store.read() as session:
        writes = request.method != "GET"
        granted = projects_granted(grants_of(session, token_id), area, writes)
        home = project_of_call(session, request.path_params)
    if not granted:
        raise PermissionDeniedError
    if area in ACCOUNT_AREAS or None in granted:
        return None
    if home is not None and home not in granted:
        raise PermissionDeniedError
    return granted


def project_of_call(session: Session, ids: Mapping[str, str]) -> int | None:
    """Return the project of the ids in the URL; None if there is none, or no such object."""
    if ids.get("project_id", "").isdecimal():
        return int(ids["project_id"])
    numbers = {name: int(text) for name, text in ids.items() if text.isdecimal()}
    step = session.get(StepRow, numbers["step_id"]) if "step_id" in numbers else None
    if step is not None:
        numbers["run_id"] = step.run_id
    for name, row_type in IN_PROJECT.items():
        row = session.get(row_type, numbers[name]) if name in numbers else None
        if row is not None:
            return int(row.project_id) if row.project_id is not None else None
    return None
