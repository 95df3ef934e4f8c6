"""Environments of a project."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from sqlalchemy import select

from include.local_dbt_cloud.call import Call, PathId
from include.local_dbt_cloud.envelope import success
from include.local_dbt_cloud.errors import NotFoundError
from include.local_dbt_cloud.payloads.accounts import environment_payload
from include.local_dbt_cloud.query import Listing, above, contains, equals, text_equals, within
from include.local_dbt_cloud.rows import ACTIVE_STATE, EnvironmentRow
from include.local_dbt_cloud.store import page_of

LISTING = Listing(
    filters={
        "name": text_equals(EnvironmentRow.name),
        "name__icontains": contains(EnvironmentRow.name),
        "id__gt": above(EnvironmentRow.id),
        "pk": equals(EnvironmentRow.id),
        "pk__in": within(EnvironmentRow.id),
    },
    order={
        "id": EnvironmentRow.id,
        "name": EnvironmentRow.name,
        "created_at": EnvironmentRow.created_at,
    },
    state=EnvironmentRow.state,
)


def list_environments(call: Call, project_id: PathId) -> JSONResponse:
    query = call.list_query(LISTING)
    statement = select(EnvironmentRow).where(EnvironmentRow.project_id == project_id)
    with call.server.store.read() as session:
        page = page_of(session, statement, query)
        environments = [environment_payload(row) for row in page.rows]
    return success(environments, query.extra(len(environments), page.total))


def get_environment(call: Call, project_id: PathId, environment_id: PathId) -> JSONResponse:
    with call.server.store.read() as session:
        row = session.get(EnvironmentRow, environment_id)
        if not row or row.project_id != project_id or row.state != ACTIVE_STATE:
            raise NotFoundError
        return success(environment_payload(row))
