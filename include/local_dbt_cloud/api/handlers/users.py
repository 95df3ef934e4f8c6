"""Users: there is one, the token's, who can be in groups."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from ...storage.resources import add_resource, find_resource, parts_of
from ...storage.tables import ResourceRow
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import InvalidRequestError, NotFoundError
from ..payloads.resources import resource_payload
from ..request_body import Body
from ..request_schemas import AssignedGroups
from ..resource_schemas import Group
from .accounts import USER_ID

EMAIL = "local@localhost"
MEMBERSHIP = "group_member"  # a part of the user, with the id of the group


def list_users(call: Call) -> JSONResponse:
    with call.server.store.read() as session:
        users = [describe_user(session, call)]
    pages = {"count": len(users), "total_count": len(users)}
    extra = {"filters": {"limit": 100, "offset": 0}, "order_by": "id", "pagination": pages}
    return success(users, extra)


def get_user(call: Call, user_id: PathId) -> JSONResponse:
    if user_id != USER_ID:
        raise NotFoundError
    with call.server.store.read() as session:
        return success(describe_user(session, call))


def assign_groups(call: Call, body: Body) -> JSONResponse:
    """Replace the groups of the user."""
    request = body.parse(AssignedGroups)
    if request.user_id != USER_ID:
        raise InvalidRequestError(data={"user_id": f"user {request.user_id} does not exist"})
    with call.server.store.write() as session:
        for group_id in request.desired_group_ids:
            if find_resource(session, "group", group_id) is None:
                message = f"group {group_id} does not exist"
                raise InvalidRequestError(data={"desired_group_ids": message})
        for row in parts_of(session, MEMBERSHIP, USER_ID):
            session.delete(row)
        for group_id in dict.fromkeys(request.desired_group_ids):
            row = ResourceRow(account_id=call.account_id, kind=MEMBERSHIP, owner_id=USER_ID)
            row.definition = {"group_id": group_id}
            add_resource(session, row)
        return success(groups_of_user(session, call))


def groups_of_user(session: Session, call: ApiCall) -> list[dict[str, Any]]:
    """Return the groups of the user that are not deleted."""
    ids = [row.definition["group_id"] for row in parts_of(session, MEMBERSHIP, USER_ID)]
    rows = [find_resource(session, "group", group_id) for group_id in ids]
    return [resource_payload(session, Group, row, call.version) for row in rows if row]


def describe_user(session: Session, call: ApiCall) -> dict[str, Any]:
    license_of_account = {
        "id": USER_ID,
        "account_id": call.account_id,
        "user_id": USER_ID,
        "license_type": "developer",
        "state": 1,
        "groups": groups_of_user(session, call),
    }
    return {
        "id": USER_ID,
        "email": EMAIL,
        "first_name": "Local",
        "last_name": "User",
        "fullname": "Local User",
        "is_active": True,
        "permissions": [license_of_account],
    }
