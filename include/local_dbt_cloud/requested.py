"""Bodies that create or change accounts' things, checked as section 3 of the contract says.

``id`` and every other key that is not here is ignored: clients post whole objects back.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from include.local_dbt_cloud.commands import REFUSED_OPTIONS
from include.local_dbt_cloud.definitions import (
    Definition,
    EnvironmentFields,
    Id,
    JobFields,
    ProjectFields,
)
from include.local_dbt_cloud.schedule import Schedule

State = Literal[1, 2]  # active, deleted

# dbt reads its options from variables too, and these are the server's to choose.
RESERVED_VARIABLES = frozenset(
    prefix + option.removeprefix("--").replace("-", "_").upper()
    for option in REFUSED_OPTIONS
    for prefix in ("DBT_", "DBT_ENGINE_")
) | {"DBT_ARTIFACT_STATE_PATH", "DBT_ENGINE_ARTIFACT_STATE_PATH", "DBT_ENGINE_RECORDER_FILE_PATH"}


def free_variable_name(name: str) -> str:
    """Returns the name unchanged; raises ValueError if the server sets that variable itself."""
    if name in RESERVED_VARIABLES:
        raise ValueError(f"each run sets {name} itself")
    return name


VariableName = Annotated[
    str, Field(pattern=r"^DBT_[A-Za-z0-9_]+$", max_length=255), AfterValidator(free_variable_name)
]
VariableValue = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=65536)]


class ProjectRequest(ProjectFields):
    account_id: Id | None = None
    state: State = 1


class EnvironmentRequest(EnvironmentFields):
    """``schema`` is the local dbt Cloud's own: where the environment's models land."""

    account_id: Id | None = None
    project_id: Id | None = None
    state: State = 1
    schema_name: str | None = Field(None, alias="schema", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class JobRequest(JobFields):
    account_id: Id
    state: State = 1
    schedule: Schedule = Schedule()


class VariableRequest(Definition):
    account_id: Id | None = None
    project_id: Id | None = None
    name: VariableName
    type: Literal["project", "environment", "job", "user"]
    environment_id: Id | None = None
    job_definition_id: Id | None = None
    raw_value: VariableValue


class VariableNamed(Definition):
    """Which variable to delete, with all its values."""

    name: VariableName


class VariableValues(Definition, extra="allow"):
    """A variable with its values: ``project`` is the default, other keys name environments.

    ``new_name`` names a new variable, or renames the one called ``name``.
    """

    __pydantic_extra__: dict[str, VariableValue]

    name: VariableName | None = None
    new_name: VariableName | None = None
    project: VariableValue | None = None

    @property
    def environments(self) -> dict[str, str]:
        """Environment name → value."""
        return dict(self.__pydantic_extra__)


class BulkVariables(Definition):
    """One variable or several: clients send either form."""

    env_var: VariableValues | list[VariableValues]

    @property
    def variables(self) -> list[VariableValues]:
        return self.env_var if isinstance(self.env_var, list) else [self.env_var]


def fields_of(request: Definition, *without: str) -> dict[str, Any]:
    """What a request says about the thing itself, ready to become its definition."""
    kept = request.model_dump(by_alias=True, exclude={"account_id", "state", *without})
    return {name: value for name, value in kept.items() if value is not None}
