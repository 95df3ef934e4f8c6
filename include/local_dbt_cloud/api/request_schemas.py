"""Schemas of request bodies (CONTRACT.md, section 3).

Unknown keys, such as ``id``, are ignored: clients post whole objects back.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field

from ..storage.schedule import Schedule
from ..storage.schemas import (
    EnvironmentFields,
    Id,
    JobFields,
    ProjectFields,
    Schema,
    VariableName,
    VariableValue,
)

State = Literal[1, 2]  # active, deleted
EventType = Literal["job.run.started", "job.run.completed", "job.run.errored"]


class ProjectRequest(ProjectFields):
    account_id: Id | None = None
    state: State = 1


class EnvironmentRequest(EnvironmentFields):
    """``schema`` exists only in the local dbt Cloud: the schema of the environment's models."""

    account_id: Id | None = None
    project_id: Id | None = None
    state: State = 1
    schema_name: str | None = Field(None, alias="schema", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class JobRequest(JobFields):
    account_id: Id | None = None
    state: State = 1
    schedule: Schedule = Schedule()


class VariableRequest(Schema):
    account_id: Id | None = None
    project_id: Id | None = None
    name: VariableName
    type: Literal["project", "environment", "job", "user"]
    environment_id: Id | None = None
    job_definition_id: Id | None = None
    raw_value: VariableValue


class VariableNamed(Schema):
    """The variable to delete, with all its values."""

    name: VariableName


class VariableValues(Schema, extra="allow"):
    """A variable with its values: ``project`` is the default, other keys are environment names.

    ``new_name`` creates a variable, or renames the one called ``name``.
    """

    __pydantic_extra__: dict[str, VariableValue]

    name: VariableName | None = None
    new_name: VariableName | None = None
    project: VariableValue | None = None

    @property
    def environments(self) -> dict[str, str]:
        """Return environment name → value."""
        return dict(self.__pydantic_extra__)


class AssignedGroups(Schema):
    """All groups of a user."""

    user_id: Id
    desired_group_ids: list[Id]


class BulkVariables(Schema):
    """One variable or several: clients send either form, below either name."""

    env_var: VariableValues | list[VariableValues] = Field(
        validation_alias=AliasChoices("env_var", "env_vars")
    )

    @property
    def variables(self) -> list[VariableValues]:
        return self.env_var if isinstance(self.env_var, list) else [self.env_var]


def fields_of(request: Schema, *without: str) -> dict[str, Any]:
    """Return the fields of the resource's definition."""
    kept = request.model_dump(by_alias=True, exclude={"account_id", "state", *without})
    return {name: value for name, value in kept.items() if value is not None}


def reachable_url(url: str) -> str:
    """Return the URL unchanged; raise ValueError if no event can be sent to it.

    Plain http is allowed only on this machine: loopback addresses, and names without a dot, such
    as that of another container.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable():
        raise ValueError("must be an http or https URL")
    if " " in url or parts.port == 0:
        raise ValueError("must be an http or https URL")
    if parts.scheme == "http" and not _is_local(parts.hostname):
        raise ValueError("must be an https URL; plain http is only allowed on this machine")
    return url


class SubscriptionRequest(Schema):
    """``job_ids`` may be numbers or text; an empty list means every job."""

    name: str = Field(min_length=1, max_length=255)
    client_url: Annotated[str, Field(max_length=2048), AfterValidator(reachable_url)]
    event_types: list[EventType] = Field(min_length=1)
    active: bool
    description: str | None = None
    job_ids: list[Id | Annotated[str, Field(pattern=r"^[0-9]{1,19}$")]] | None = None

    def columns(self) -> dict[str, object]:
        """Return the columns of the subscription that the request sets."""
        return {
            "name": self.name,
            "client_url": self.client_url,
            "event_types": list(dict.fromkeys(self.event_types)),
            "active": self.active,
            "description": self.description or "",
            "job_ids": [str(job_id) for job_id in self.job_ids or []],
        }


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host
