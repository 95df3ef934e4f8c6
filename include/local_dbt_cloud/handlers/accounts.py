"""Accounts: the token sees exactly one."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from include.local_dbt_cloud.call import Call, server_of
from include.local_dbt_cloud.envelope import success
from include.local_dbt_cloud.payloads.accounts import account_payload
from include.local_dbt_cloud.rows import AccountRow


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
