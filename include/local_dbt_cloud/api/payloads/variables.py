"""Environment variables (CONTRACT.md, section 3.9)."""

from __future__ import annotations

from typing import Any

from ...storage.tables import EnvironmentVariableRow
from ...times import iso

SECRET_PREFIX = "DBT_ENV_SECRET"  # dbt hides these values in its logs
HIDDEN = "*" * 10


def displayed(row: EnvironmentVariableRow) -> str:
    return HIDDEN if row.name.startswith(SECRET_PREFIX) else row.value


def variable_payload(row: EnvironmentVariableRow, state: int = 1) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "project_id": row.project_id,
        "name": row.name,
        "type": row.type,
        "environment_id": row.environment_id,
        "job_definition_id": row.job_definition_id,
        "user_id": None,
        "raw_value": displayed(row),
        "display_value": displayed(row),
        "state": state,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def value_payload(row: EnvironmentVariableRow) -> dict[str, Any]:
    """Return one cell of the table in variable lists."""
    return {"id": row.id, "value": displayed(row)}
