"""Steps of a run (CONTRACT.md, section 3.7)."""

from __future__ import annotations

from typing import Any

from ...runs.run_folder import RunFolder
from ...storage.statuses import Status
from ...storage.tables import RunRow, StepRow
from ...times import clock, humanized, now, spaced

TRUNCATED_LINES = 1000
COLORS = {Status.SUCCESS: "#059669", Status.ERROR: "#DC2626", Status.CANCELLED: "#6B7280"}
UNFINISHED_COLOR = "#2563EB"
# Fields of dbt Cloud's structured logs, which the local dbt Cloud does not write.
STRUCTURED_LOGS = (
    "structured_logs_path",
    "structured_logs",
    "structured_debug_logs_path",
    "structured_debug_logs",
    "truncated_structured_debug_logs",
)


def step_payload(step: StepRow, run: RunRow, folder: RunFolder, debug: bool) -> dict[str, Any]:
    """Return a step, with the whole debug log if ``debug``, else only its last 1,000 lines."""
    length = (step.finished_at or now()) - step.created_at
    debug_logs = folder.read_log(step.index, "debug_logs.txt")
    return dict.fromkeys(STRUCTURED_LOGS) | {
        "id": step.id,
        "run_id": step.run_id,
        "account_id": run.account_id,
        "index": step.index,
        "name": step.name,
        "status": step.status_code,
        "status_humanized": step.status.humanized,
        "status_color": COLORS.get(step.status, UNFINISHED_COLOR),
        "status_message": step.status_message,
        "logs": folder.read_log(step.index, "logs.txt"),
        "debug_logs": debug_logs if debug else None,
        "truncated_debug_logs": _tail(debug_logs),
        "log_path": None,
        "debug_log_path": None,
        "created_at": spaced(step.created_at),
        "updated_at": spaced(step.updated_at),
        "started_at": spaced(step.started_at),
        "finished_at": spaced(step.finished_at),
        "duration": clock(length),
        "duration_humanized": humanized(length),
        "run_step_command": _command(step),
        "run_step_invocation": None,
    }


def _tail(log: str | None) -> str | None:
    return "\n".join(log.splitlines()[-TRUNCATED_LINES:]) if log else log


def _command(step: StepRow) -> dict[str, Any] | None:
    return {"run_step_id": step.id, "dbt_command": step.command} if step.command else None
