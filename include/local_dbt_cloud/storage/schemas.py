"""The definitions of accounts, projects, environments and jobs.

The same models validate ``jobs.yaml``, request bodies and the database, with the defaults of
dbt Cloud's specification (CONTRACT.md, section 3.4).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from .commands import REFUSED_OPTIONS, parse_command
from .schedule import checked_schedule

MAX_ID = 2**63 - 1
# Fields that mark a run as CI: it builds a pull request, beside production.
PULL_REQUEST_IDS = (
    "github_pull_request_id",
    "gitlab_merge_request_id",
    "azure_pull_request_id",
    "non_native_pull_request_id",
)
STATE_AWARE, DBT_STATE = "state_aware_orchestration", "dbt_state"  # cost optimization features
# dbt reads its options from variables too; these options are set by the server.
RESERVED_VARIABLES = frozenset(
    prefix + option.removeprefix("--").replace("-", "_").upper()
    for option in REFUSED_OPTIONS
    for prefix in ("DBT_", "DBT_ENGINE_")
) | {"DBT_ARTIFACT_STATE_PATH", "DBT_ENGINE_ARTIFACT_STATE_PATH", "DBT_ENGINE_RECORDER_FILE_PATH"}
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Seconds = Annotated[int, Field(ge=0, le=86400)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
JobType = Literal["ci", "scheduled", "other", "merge", "exposure_sync", "adaptive", "hybrid"]


def accepted_command(command: str) -> str:
    """Return the command unchanged; raise ValueError if it is not an accepted dbt command."""
    parse_command(command)
    return command


def free_variable_name(name: str) -> str:
    """Return the name unchanged; raise ValueError if the server sets that variable itself."""
    if name in RESERVED_VARIABLES:
        raise ValueError(f"each run sets {name} itself")
    return name


def folder_inside(folder: str | None) -> str | None:
    """Return the subdirectory unchanged; raise ValueError if it is not inside its repository."""
    if folder and ".." in folder.split("/"):
        raise ValueError("must be a folder inside the repository")
    return folder


VariableName = Annotated[
    str, Field(pattern=r"^DBT_[A-Za-z0-9_]+$", max_length=255), AfterValidator(free_variable_name)
]
VariableValue = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=65536)]


JobCommand = Annotated[str, AfterValidator(accepted_command)]


class Schema(BaseModel):
    """Null means the default: clients send it for every field that they leave open."""

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def without_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}


class Account(Schema):
    id: Id
    name: str
    run_slots: int = Field(default=0, ge=0, le=16)  # 0: what the adapter allows


class ProjectFields(Schema):
    name: Name
    description: str = ""
    connection_id: int | None = None
    repository_id: int | None = None
    semantic_layer_config_id: int | None = None
    dbt_project_subdirectory: Annotated[str | None, AfterValidator(folder_inside)] = None
    docs_job_id: int | None = None
    freshness_job_id: int | None = None
    type: Literal[0, 1] = 0


class Project(ProjectFields):
    id: Id


class EnvironmentFields(Schema):
    name: Name
    type: Literal["deployment", "development"] = "deployment"
    deployment_type: Literal["production", "staging"] | None = None
    dbt_version: str = "latest"
    use_custom_branch: bool = False
    custom_branch: str | None = None
    supports_docs: bool = True
    credentials_id: int | None = None
    connection_id: int | None = None
    extended_attributes_id: int | None = None
    primary_profile_id: int | None = None
    enable_model_query_history: bool = False


class Environment(EnvironmentFields):
    """``schema`` is the schema of its models; dbt Cloud keeps it with the credentials.

    Empty, it is that of the profile.
    """

    id: Id
    project_id: Id
    schema_name: str = Field(default="", alias="schema")


class Execution(Schema):
    timeout_seconds: Seconds = 0


class JobSettings(Schema):
    threads: int = Field(default=1, ge=1, le=64)
    target_name: str = "default"


class Triggers(Schema):
    github_webhook: bool = False
    git_provider_webhook: bool | None = False
    schedule: bool = False
    on_merge: bool | None = False


class CompletionCondition(Schema):
    job_id: Id
    project_id: Id
    statuses: list[Literal[10, 20, 30]]


class CompletionTrigger(Schema):
    """Starts the job after another one has ended with one of the statuses."""

    condition: CompletionCondition


def check_single_deferral(environment_id: int | None, others: ValidationInfo) -> int | None:
    """Return the id unchanged; raise ValueError if the job defers to a job too."""
    if environment_id and others.data.get("deferring_job_definition_id"):
        raise ValueError("a job can defer to an environment or to a job, not to both")
    return environment_id


class JobFields(Schema):
    project_id: Id
    environment_id: Id
    name: Name
    execute_steps: list[JobCommand] = []
    description: str = ""
    dbt_version: str | None = None
    execution: Execution = Execution()
    settings: JobSettings = JobSettings()
    triggers: Triggers = Triggers()
    generate_docs: bool = False
    run_generate_sources: bool = False
    run_compare_changes: bool = False
    compare_changes_flags: str = "--select state:modified"
    run_lint: bool = False
    errors_on_lint_failure: bool = True
    deferring_job_definition_id: int | None = None
    deferring_environment_id: Annotated[int | None, AfterValidator(check_single_deferral)] = None
    triggers_on_draft_pr: bool = False
    lifecycle_webhooks: bool = False
    lifecycle_webhooks_url: str | None = None
    cost_optimization_features: list[str] = []
    force_node_selection: bool | None = None
    job_completion_trigger_condition: CompletionTrigger | None = None
    job_type: JobType | None = None

    @model_validator(mode="after")
    def with_both_fields_of_optimization(self) -> Self:
        """Set the list and the older flag, which is true without state-aware orchestration.

        dbt Cloud reads the flag if a client sends no list, and stores ``dbt_state`` alone.
        """
        if "cost_optimization_features" not in self.model_fields_set:
            off = self.force_node_selection is not False
            self.cost_optimization_features = [] if off else [STATE_AWARE]
        elif DBT_STATE in self.cost_optimization_features:
            self.cost_optimization_features = [DBT_STATE]
        self.force_node_selection = not {STATE_AWARE, DBT_STATE}.intersection(
            self.cost_optimization_features
        )
        return self


class JobVariable(Schema):
    """A value of a variable for one job."""

    job_id: Id
    name: VariableName
    value: VariableValue


class Job(JobFields):
    """A job; ``schedule`` is stored exactly as given."""

    id: Id
    settings: JobSettings = JobSettings(threads=4)  # what dbt Cloud's own pages suggest
    schedule: Annotated[dict[str, Any], AfterValidator(checked_schedule)] = {}

    @property
    def computed_job_type(self) -> str:
        """Return the job type; dbt Cloud returns one even if null was posted."""
        if self.job_type:
            return self.job_type
        if self.triggers.on_merge:
            return "merge"
        if self.triggers.git_provider_webhook or self.triggers.github_webhook:
            return "ci"
        return "scheduled" if self.triggers.schedule else "other"


class RunRequest(Schema):
    """The body of a trigger: a cause, and overrides that may be null."""

    cause: str = Field(min_length=1)
    git_sha: str | None = None
    git_branch: str | None = None
    azure_pull_request_id: Id | None = None
    github_pull_request_id: Id | None = None
    gitlab_merge_request_id: Id | None = None
    non_native_pull_request_id: Id | None = None
    schema_override: str | None = None
    dbt_version_override: str | None = None
    threads_override: int | None = Field(default=None, ge=1, le=64)
    target_name_override: str | None = None
    generate_docs_override: bool | None = None
    timeout_seconds_override: Seconds | None = None
    steps_override: list[JobCommand] | None = None

    @model_validator(mode="after")
    def names_one_pull_request(self) -> Self:
        if sum(getattr(self, name) is not None for name in PULL_REQUEST_IDS) > 1:
            raise ValueError("a run can build only one pull request")
        return self

    @property
    def pull_request(self) -> int | None:
        """Return the number of the pull request that the run builds."""
        numbers = (getattr(self, name) for name in PULL_REQUEST_IDS)
        return next((number for number in numbers if number is not None), None)
