"""Every endpoint: method and path → handler. README.md lists the same ones; a test compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from include.local_dbt_cloud.handlers import accounts, artifacts, environments, jobs, projects, runs

V2 = "/api/v2/accounts/{account_id}"
V3 = "/api/v3/accounts/{account_id}"


@dataclass(frozen=True)
class Route:
    """Paths are written without the trailing slash; requests may have it or not."""

    method: str
    path: str
    handler: Callable[..., Any]


ROUTES = (
    Route("GET", "/api/v2/accounts", accounts.list_accounts),
    Route("GET", "/api/v3/accounts", accounts.list_accounts),
    Route("GET", V2, accounts.get_account),
    Route("GET", V3, accounts.get_account),
    Route("GET", f"{V3}/projects", projects.list_projects),
    Route("GET", f"{V3}/projects/{{project_id}}", projects.get_project),
    Route("GET", f"{V3}/projects/{{project_id}}/environments", environments.list_environments),
    Route(
        "GET",
        f"{V3}/projects/{{project_id}}/environments/{{environment_id}}",
        environments.get_environment,
    ),
    Route("GET", f"{V2}/jobs", jobs.list_jobs),
    Route("GET", f"{V2}/jobs/{{job_id}}", jobs.get_job),
    Route("POST", f"{V2}/jobs/{{job_id}}/run", jobs.trigger_run),
    Route("POST", f"{V2}/jobs/{{job_id}}/rerun", jobs.rerun_job),
    Route("GET", f"{V2}/runs", runs.list_runs),
    Route("GET", f"{V2}/runs/{{run_id}}", runs.get_run),
    Route("POST", f"{V2}/runs/{{run_id}}/cancel", runs.cancel_run),
    Route("GET", f"{V2}/runs/{{run_id}}/artifacts", artifacts.list_artifacts),
    Route("GET", f"{V2}/runs/{{run_id}}/artifacts/{{name:path}}", artifacts.get_artifact),
)
