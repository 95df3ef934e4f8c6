"""Accounts, projects and environments (CONTRACT.md, sections 3.1 to 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from include.local_dbt_cloud.storage.schemas import Environment, Project
from include.local_dbt_cloud.storage.tables import AccountRow, EnvironmentRow, ProjectRow
from include.local_dbt_cloud.times import iso, spaced

CONNECTION_ID = 1  # the one warehouse


# Account fields that have no meaning in the local dbt Cloud.
NOTHING = (
    "lock_reason",
    "lock_cause",
    "unlocked_at",
    "billing_email_address",
    "enterprise_login_slug",
    "starter_repo_url",
    "docs_job_id",
    "freshness_job_id",
    "trial_end_date",
    "run_locked_until",
    "copilot_locked_until",
    "static_subdomain",
    "vanity_subdomain",
)


def account_payload(row: AccountRow) -> dict[str, Any]:
    return dict.fromkeys(NOTHING) | {
        "id": row.id,
        "name": row.name,
        "identifier": f"act_{row.id}",
        "state": row.state,
        "plan": "enterprise",
        "run_slots": row.definition["run_slots"],
        "developer_seats": 1,
        "read_only_seats": 0,
        "it_seats": 0,
        "explorer_seats": 0,
        "analyst_seats": 0,
        "queue_limit": 50,
        "run_duration_limit_seconds": 86400,
        "pod_memory_request_mebibytes": 600,
        "develop_pod_memory_request_mebibytes": 0,
        "locked": False,
        "pending_cancel": False,
        "business_critical": False,
        "agent_credit_locked": False,
        "git_auth_level": "personal",
        "account_migration_events": [],
        "groups": [],
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def connection_payload(project: ProjectRow, warehouse: str) -> dict[str, Any]:
    """Return the connection; OpenLineage names datasets after ``type`` and ``details.path``.

    The path starts at the working directory if it is inside, so that it is the same everywhere.
    """
    path, here = Path(warehouse), Path.cwd()
    return {
        "id": CONNECTION_ID,
        "account_id": project.account_id,
        "project_id": project.id,
        "name": "DuckDB",
        "type": "duckdb",
        "created_by_id": None,
        "created_by_service_token_id": None,
        "details": {"path": str(path.relative_to(here) if path.is_relative_to(here) else path)},
        "state": 1,
        "created_at": spaced(project.created_at),
        "updated_at": spaced(project.updated_at),
    }


def project_payload(
    row: ProjectRow, warehouse: str, environments: Iterable[EnvironmentRow] = ()
) -> dict[str, Any]:
    return {
        "id": row.id,
        **Project.model_validate(row.definition).model_dump(),
        "account_id": row.account_id,
        "connection_id": CONNECTION_ID,
        "state": row.state,
        "created_at": spaced(row.created_at),
        "updated_at": spaced(row.updated_at),
        "connection": connection_payload(row, warehouse),
        "environments": [environment_payload(one) for one in environments],
        "repository": None,
        "group_permissions": [],
        "docs_job": None,
        "freshness_job": None,
        "fusion_readiness": None,
        "default_version": None,
    }


def environment_payload(
    row: EnvironmentRow, moment: Callable[[datetime], str | None] = spaced
) -> dict[str, Any]:
    """Return an environment; ``moment`` formats timestamps: with a space in v3, a T in v2."""
    environment = Environment.model_validate(row.definition)
    return {
        "id": row.id,
        **environment.model_dump(exclude={"schema_name"}),
        "account_id": row.account_id,
        "connection_id": CONNECTION_ID,
        "raw_dbt_version": environment.dbt_version,
        "is_deferrable": environment.type == "deployment",
        "enable_dbt_state": False,
        "state": row.state,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "project": None,
        "primary_profile_id": None,
        "credentials": None,
        "fusion_readiness": None,
    }
