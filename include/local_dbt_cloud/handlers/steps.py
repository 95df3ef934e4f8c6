"""Single steps of runs."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from include.local_dbt_cloud.call import Call, PathId
from include.local_dbt_cloud.envelope import success
from include.local_dbt_cloud.errors import NotFoundError
from include.local_dbt_cloud.handlers.runs import find_run, folder_of
from include.local_dbt_cloud.payloads.steps import step_payload
from include.local_dbt_cloud.rows import StepRow


def get_step(call: Call, step_id: PathId) -> JSONResponse:
    """With ``include_related=debug_logs`` the whole debug log, else its last 1,000 lines."""
    with call.server.store.read() as session:
        step = session.get(StepRow, step_id)
        if step is None:
            raise NotFoundError
        run = find_run(session, call, step.run_id)
        debug = "debug_logs" in call.include
        return success(step_payload(step, run, folder_of(call, run.id), debug))
