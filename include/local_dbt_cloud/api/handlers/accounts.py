"""The token's user, and its one account."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from ...storage.tables import AccountRow
from ..dependencies import Call, server_of
from ..envelope import success
from ..payloads.accounts import account_payload

USER_ID = 1  # the token's user; there are no others


def list_accounts(request: Request) -> JSONResponse:
    server = server_of(request)
    with server.store.read() as session:
        account = account_payload(session.get_one(AccountRow, server.account_id))
    extra = {
        "filters": {"limit": 100, "offset": 0, "pk__in": [account["id"]]},
        "order_by": None,
        "pagination": {"count": 1, "total_count": 1},
    }
    return success([account], extra)


def get_account(call: Call) -> JSONResponse:
    with call.server.store.read() as session:
        return success(account_payload(call.account(session)))


def whoami(request: Request) -> JSONResponse:
    """Return the token's user and account; dbt Cloud does not document this endpoint."""
    return success({"user": {"id": USER_ID}, "account_id": server_of(request).account_id})
