"""Accounts, projects and environments (CONTRACT.md, sections 3.1 to 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from ...storage.profiles import Output, connection_details, connection_name
from ...storage.resources import CONNECTION_ID
from ...storage.schemas import Environment, Project
from ...storage.tables import AccountRow, EnvironmentRow, ProjectRow
from ...times import iso, spaced

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


def connection_payload(project: ProjectRow, output: Output) -> dict[str, Any]:
    """Return the connection; OpenLineage names datasets after ``type`` and ``details``.

    A path starts at the working directory if it is inside, so that it is the same everywhere.
    """
    details, here = connection_details(output), Path.cwd()
    if Path(details.get("path", "")).is_relative_to(here):
        details["path"] = str(Path(details["path"]).relative_to(here))
    return {
        "id": CONNECTION_ID,
        "account_id": project.account_id,
        "project_id": project.id,
        "name": connection_name(output),
        "type": output["type"],
        "created_by_id": None,
        "created_by_service_token_id": None,
        "details": details,
        "state": 1,
        "created_at": spaced(project.created_at),
        "updated_at": spaced(project.updated_at),
    }


def project_payload(
    row: ProjectRow, output: Output, environments: Iterable[EnvironmentRow] = ()
) -> dict[str, Any]:
    return {
        "id": row.id,
        **Project.model_validate(row.definition).model_dump(),
        "account_id": row.account_id,
        "connection_id": CONNECTION_ID,
        "state": row.state,
        "created_at": spaced(row.created_at),
        "updated_at": spaced(row.updated_at),
        "connection": connection_payload(row, output),
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
        "raw_dbt_version": environment.dbt_version,
        "is_deferrable": environment.type == "deployment",
        "enable_dbt_state": False,
        "state": row.state,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "project": None,
        "credentials": None,
        "fusion_readiness": None,
    }
