"""One API call: its server, its account and its parameters."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams

from ..runs.runner import Runner
from ..settings import Settings
from ..storage.jobs_file import JobsFile
from ..storage.profiles import Output
from ..storage.schemas import MAX_ID
from ..storage.service_tokens import TOKEN_PREFIX, find_token
from ..storage.store import Store
from ..storage.tables import AccountRow
from .access import granted_projects
from .errors import (
    AccessDeniedError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from .faults import Faults
from .query import (
    Listing,
    ListQuery,
    parse_include_related,
    parse_integer,
    parse_list_query,
)

log = logging.getLogger(__name__)
PathId = Annotated[int, Path(ge=0, le=MAX_ID)]


@dataclass(frozen=True)
class Server:
    """The objects that every handler uses.

    ``outputs`` are those of dbt's profile, by project id, as they were at the start.
    """

    settings: Settings
    store: Store
    runner: Runner
    jobs_file: JobsFile
    outputs: Mapping[int, Output]
    faults: Faults = field(default_factory=Faults)
    announced: set[str] = field(default_factory=set)  # what has a warning in the log

    @property
    def account_id(self) -> int:
        return self.jobs_file.account.id

    def output_of(self, project_id: int) -> Output:
        """Return a project's output; one made over the API has that of the first project."""
        return self.outputs.get(project_id) or next(iter(self.outputs.values()))

    def announce(self, path: str) -> None:
        """Log once that a field, or the last part of a URL, has no effect."""
        name = path.rpartition("/")[2]
        if name not in self.announced:
            self.announced.add(name)
            log.warning(
                "%s: stored, without effect here. See README.md, What it does not do.", name
            )

    def find_token(self, text: str) -> int | None:
        """Return the id of a service token, without a query for other texts."""
        if not text.startswith(TOKEN_PREFIX):
            return None
        with self.store.read() as session:
            return find_token(session, text)


@dataclass(frozen=True)
class ApiCall:
    """A call with a valid token, for an account that the token gives access to.

    ``projects`` are those that a service token allows this call for; None is every project.
    """

    server: Server
    account_id: int
    params: QueryParams
    base_url: str
    version: str
    projects: frozenset[int | None] | None = None

    @property
    def include(self) -> frozenset[str]:
        return parse_include_related(self.params)

    def list_query(self, listing: Listing) -> ListQuery:
        query = parse_list_query(self.params, listing, self.account_id)
        if self.projects is not None and listing.project is not None:
            query.conditions.append(listing.project.in_(self.projects))
        return query

    def check_account(self, account_id: int | None) -> None:
        """Raise InvalidRequestError if a body names another account than the URL."""
        if account_id not in (None, self.account_id):
            raise InvalidRequestError(data={"account_id": "does not match the account in the URL"})

    def check_project(self, project_id: int | None) -> None:
        """Raise PermissionDeniedError if the token does not allow this call for a project."""
        if self.projects is not None and project_id not in self.projects:
            raise PermissionDeniedError

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
    """Return the call; raise an error for another account, or if the token does not allow it."""
    server = server_of(request)
    if account_id != server.account_id:
        raise AccessDeniedError
    version = request.url.path.split("/")[2]  # v2 or v3
    projects = granted_projects(request, server.store)
    base_url = base_url_of(request)
    return ApiCall(server, account_id, request.query_params, base_url, version, projects)


Call = Annotated[ApiCall, Depends(api_call)]


def project_of(request: Request) -> int | None:
    """Return the project id in the URL; None in URLs of the whole account."""
    return integer_in_path(request, "project_id")


def integer_in_path(request: Request, name: str) -> int | None:
    """Return a part of the URL; raise NotFoundError if it is no integer."""
    text = request.path_params.get(name)
    try:
        return None if text is None else parse_integer(text)
    except ValueError:
        raise NotFoundError from None


InProject = Annotated[int | None, Depends(project_of)]
