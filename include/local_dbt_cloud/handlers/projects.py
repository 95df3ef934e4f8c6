"""Projects."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from sqlalchemy import select

from include.local_dbt_cloud.call import Call, PathId
from include.local_dbt_cloud.envelope import success
from include.local_dbt_cloud.errors import NotFoundError
from include.local_dbt_cloud.payloads.accounts import project_payload
from include.local_dbt_cloud.query import Listing, above, contains, equals, within
from include.local_dbt_cloud.rows import ACTIVE_STATE, ProjectRow
from include.local_dbt_cloud.store import page_of

LISTING = Listing(
    filters={
        "name__icontains": contains(ProjectRow.name),
        "pk": equals(ProjectRow.id),
        "pk__gt": above(ProjectRow.id),
        "pk__in": within(ProjectRow.id),
    },
    order={"id": ProjectRow.id, "name": ProjectRow.name, "created_at": ProjectRow.created_at},
    state=ProjectRow.state,
)


def list_projects(call: Call) -> JSONResponse:
    query = call.list_query(LISTING)
    statement = select(ProjectRow).where(ProjectRow.account_id == call.account_id)
    with call.server.store.read() as session:
        page = page_of(session, statement, query)
        projects = [project_payload(row, _warehouse(call)) for row in page.rows]
    return success(projects, query.extra(len(projects), page.total))


def get_project(call: Call, project_id: PathId) -> JSONResponse:
    with call.server.store.read() as session:
        project = session.get(ProjectRow, project_id)
        if not project or project.state != ACTIVE_STATE:
            raise NotFoundError
        return success(project_payload(project, _warehouse(call)))


def _warehouse(call: Call) -> str:
    return str(call.server.settings.warehouse)
