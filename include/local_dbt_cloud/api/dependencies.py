"""One API call: its server, its account and its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams

from include.local_dbt_cloud.api.errors import AccessDeniedError, InvalidRequestError
from include.local_dbt_cloud.api.faults import Faults
from include.local_dbt_cloud.api.query import (
    Listing,
    ListQuery,
    parse_include_related,
    parse_list_query,
)
from include.local_dbt_cloud.runs.runner import Runner
from include.local_dbt_cloud.settings import Settings
from include.local_dbt_cloud.storage.schemas import MAX_ID
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import AccountRow

PathId = Annotated[int, Path(ge=0, le=MAX_ID)]


@dataclass(frozen=True)
class Server:
    """The objects that every handler uses."""

    settings: Settings
    store: Store
    runner: Runner
    account_id: int
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True)
class ApiCall:
    """A call with a valid token, for an account that the token gives access to."""

    server: Server
    account_id: int
    params: QueryParams
    base_url: str
    version: str

    @property
    def include(self) -> frozenset[str]:
        return parse_include_related(self.params)

    def list_query(self, listing: Listing) -> ListQuery:
        return parse_list_query(self.params, listing, self.account_id)

    def check_account(self, account_id: int | None) -> None:
        """Raise InvalidRequestError if a body names another account than the URL."""
        if account_id not in (None, self.account_id):
            raise InvalidRequestError(data={"account_id": "does not match the account in the URL"})

    def account(self, session: Session) -> AccountRow:
        return session.get_one(AccountRow, self.account_id)


def server_of(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def base_url_of(request: Request) -> str:
    """Return ``--public-url``, else the client's address, so links work through a port forward."""
    public_url = server_of(request).settings.public_url
    return public_url or f"https://{request.headers.get('host', request.url.netloc)}"


def api_call(request: Request, account_id: PathId) -> ApiCall:
    """Return the call; raise AccessDeniedError for any other account."""
    server = server_of(request)
    if account_id != server.account_id:
        raise AccessDeniedError
    version = request.url.path.split("/")[2]  # v2 or v3
    return ApiCall(server, account_id, request.query_params, base_url_of(request), version)


Call = Annotated[ApiCall, Depends(api_call)]
