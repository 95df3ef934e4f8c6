"""Who the token belongs to."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from include.local_dbt_cloud.call import server_of
from include.local_dbt_cloud.envelope import success

USER_ID = 1  # the one token's; there are no users, so nothing else refers to it


def whoami(request: Request) -> JSONResponse:
    """dbt Cloud does not document this answer: the user of the token, and its account."""
    return success({"user": {"id": USER_ID}, "account_id": server_of(request).account_id})
