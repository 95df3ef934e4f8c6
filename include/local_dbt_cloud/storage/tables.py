"""The tables of ``dbt_cloud.db``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    func,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from ..times import now
from .schemas import PULL_REQUEST_IDS, Job, RunRequest
from .statuses import ACTIVE, Status

ACTIVE_STATE, DELETED_STATE = 1, 2


class UtcDateTime(TypeDecorator[datetime]):
    """Stores and returns UTC, because SQLite drops time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


# dbt Cloud's ids have 64 bits; SQLite increments only a column whose type is INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")


class Row(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON}


class DefinedRow(Row):
    """An account, project, environment or job: a definition, and its place.

    ``shipped`` is its entry in ``jobs.yaml``, so that a restart applies entries that changed there
    and keeps changes of the API.
    """

    __abstract__ = True

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str]
    state: Mapped[int] = mapped_column(default=ACTIVE_STATE)
    definition: Mapped[dict[str, Any]]
    shipped: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class AccountRow(DefinedRow):
    __tablename__ = "accounts"


class ProjectRow(DefinedRow):
    __tablename__ = "projects"

    account_id: Mapped[int] = mapped_column(BigId, index=True)


class EnvironmentRow(DefinedRow):
    __tablename__ = "environments"

    account_id: Mapped[int] = mapped_column(BigId, index=True)
    project_id: Mapped[int] = mapped_column(BigId)


class JobRow(DefinedRow):
    __tablename__ = "jobs"

    account_id: Mapped[int] = mapped_column(BigId, index=True)
    project_id: Mapped[int] = mapped_column(BigId)
    environment_id: Mapped[int] = mapped_column(BigId)
    environment: Mapped[EnvironmentRow] = relationship(
        primaryjoin="foreign(JobRow.environment_id) == EnvironmentRow.id", viewonly=True
    )

    @property
    def settings(self) -> Job:
        return Job.model_validate(self.definition)


class EnvironmentVariableRow(Row):
    """One value of a ``DBT_…`` variable: of a project, an environment, a job or a user."""

    __tablename__ = "environment_variables"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId)
    project_id: Mapped[int] = mapped_column(BigId, index=True)
    environment_id: Mapped[int | None] = mapped_column(BigId)
    job_definition_id: Mapped[int | None] = mapped_column(BigId)
    name: Mapped[str]
    type: Mapped[str]
    value: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class ResourceRow(Row):
    """A stored resource, such as a connection or a group; ``kind`` names its schema.

    ``owner_id`` is the resource that a part belongs to, such as the group of a permission.
    ``token_hash`` is the SHA-256 of a service token, the only trace of it.
    """

    __tablename__ = "stored_resources"
    __table_args__ = (Index("resources_of_kind", "kind", "account_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId)
    project_id: Mapped[int | None] = mapped_column(BigId, index=True)
    owner_id: Mapped[int | None] = mapped_column(BigId, index=True)
    kind: Mapped[str]
    definition: Mapped[dict[str, Any]]
    token_hash: Mapped[str | None] = mapped_column(index=True)
    state: Mapped[int] = mapped_column(default=ACTIVE_STATE)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class RunRow(Row):
    """One run. ``trigger`` is the request that started it, ``job_definition`` the job as it was."""

    __tablename__ = "runs"
    __table_args__ = (
        # With account_id at the end, a list's total is counted in the index alone.
        Index("runs_of_job", "job_id", "id", "account_id"),
        Index("runs_of_job_by_time", "job_id", "created_at", "id", "account_id"),
        Index("runs_by_status", "status", "account_id"),
        Index("runs_by_creation", "created_at", "id"),
        Index("runs_by_end", "finished_at", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId)
    project_id: Mapped[int] = mapped_column(BigId)
    environment_id: Mapped[int] = mapped_column(BigId)
    job_id: Mapped[int] = mapped_column(BigId)
    trigger: Mapped[dict[str, Any]]
    job_definition: Mapped[dict[str, Any]]
    status_code: Mapped[int] = mapped_column("status", default=int(Status.QUEUED))
    status_message: Mapped[str | None]
    dbt_version: Mapped[str | None]
    deferring_run_id: Mapped[int | None] = mapped_column(BigId)
    git_branch: Mapped[str | None]
    git_sha: Mapped[str | None]
    retrying_run_id: Mapped[int | None] = mapped_column(BigId)
    retry_not_supported_reason: Mapped[str | None]  # of a failed run
    artifacts_saved: Mapped[bool] = mapped_column(default=False)
    has_docs_generated: Mapped[bool] = mapped_column(default=False)
    has_sources_generated: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    dequeued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    steps: Mapped[list[StepRow]] = relationship(order_by="StepRow.index")
    job: Mapped[JobRow] = relationship(
        primaryjoin="foreign(RunRow.job_id) == JobRow.id", viewonly=True
    )
    environment: Mapped[EnvironmentRow] = relationship(
        primaryjoin="foreign(RunRow.environment_id) == EnvironmentRow.id", viewonly=True
    )

    @property
    def status(self) -> Status:
        return Status(self.status_code)

    @property
    def job_settings(self) -> Job:
        """Return the job as it was when this run was triggered."""
        return Job.model_validate(self.job_definition)

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @hybrid_property
    def pull_request(self) -> int | None:
        """Return the number of the pull request that the run builds."""
        return RunRequest.model_validate(self.trigger).pull_request

    @pull_request.inplace.expression
    @classmethod
    def _pull_request(cls) -> ColumnElement[int | None]:
        return func.coalesce(*(cls.trigger[name].as_integer() for name in PULL_REQUEST_IDS))

    @property
    def cause_category(self) -> str:
        """Return what started the run: ``api``, ``rerun``, ``scheduled`` or a job's end."""
        default = "rerun" if self.retrying_run_id else "api"
        return str(self.trigger.get("cause_category") or default)

    @property
    def is_ci(self) -> bool:
        """Return whether it builds a pull request: such runs wait for no slot."""
        return self.pull_request is not None


class StepRow(Row):
    """One step of a run; its logs and artifacts are files in the run's folder."""

    __tablename__ = "steps"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(BigId, ForeignKey("runs.id"), index=True)
    index: Mapped[int]
    name: Mapped[str]
    command: Mapped[str | None]
    status_code: Mapped[int] = mapped_column("status", default=int(Status.RUNNING))
    status_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    started_at: Mapped[datetime | None] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]

    @property
    def status(self) -> Status:
        return Status(self.status_code)
