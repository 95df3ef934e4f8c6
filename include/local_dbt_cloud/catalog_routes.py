"""The endpoints of what runs are made of: accounts, projects, environments, jobs, variables."""

from __future__ import annotations

from include.local_dbt_cloud.handlers import (
    accounts,
    bulk_variables,
    environments,
    jobs,
    projects,
    variables,
    whoami,
)
from include.local_dbt_cloud.query import INTEGER
from include.local_dbt_cloud.requested import (
    BulkVariables,
    EnvironmentRequest,
    JobRequest,
    ProjectRequest,
    VariableNamed,
    VariableRequest,
)
from include.local_dbt_cloud.route import V2, V3, Route, related

PROJECT_RELATED = related("connection", "environments", "repository", "docs_job", "freshness_job")
ENVIRONMENT_RELATED = related("project", "connection", "credentials", "repository")
JOB_RELATED = related(
    "environment",
    "custom_environment_variables",
    "most_recent_run",
    "most_recent_completed_run",
    "fusion_readiness",
)
JOB_ID = {"job_definition_id": INTEGER}


def project_routes(account: str) -> tuple[Route, ...]:
    every, one = f"{account}/projects", f"{account}/projects/{{project_id}}"
    return (
        Route("GET", every, projects.list_projects, None, projects.LISTING, PROJECT_RELATED),
        Route("POST", every, projects.create_project, ProjectRequest, code=201),
        Route("GET", one, projects.get_project, query=PROJECT_RELATED),
        Route("POST", one, projects.update_project, ProjectRequest),
        Route("DELETE", one, projects.delete_project),
    )


def list_environments(path: str) -> Route:
    handler, listing = environments.list_environments, environments.LISTING
    return Route("GET", path, handler, listing=listing, query=ENVIRONMENT_RELATED)


def environment_routes(parent: str) -> tuple[Route, ...]:
    every, one = f"{parent}/environments", f"{parent}/environments/{{environment_id}}"
    return (
        list_environments(every),
        Route("POST", every, environments.create_environment, EnvironmentRequest, code=201),
        Route("GET", one, environments.get_environment, query=ENVIRONMENT_RELATED),
        Route("POST", one, environments.update_environment, EnvironmentRequest),
        Route("DELETE", one, environments.delete_environment),
    )


PROJECT = f"{V3}/projects/{{project_id}}"
ENVIRONMENTS = f"{V3}/environments"
VARIABLES = f"{PROJECT}/environment-variables"
BULK = f"{VARIABLES}/bulk"
VARIABLE = f"{VARIABLES}/{{variable_id}}"
JOBS, JOB = f"{V2}/jobs", f"{V2}/jobs/{{job_id}}"

CATALOG_ROUTES = (
    Route("GET", "/api/v2/whoami", whoami.whoami),
    Route("GET", "/api/v2/accounts", accounts.list_accounts),
    Route("GET", "/api/v3/accounts", accounts.list_accounts),
    Route("GET", V2, accounts.get_account),
    Route("GET", V3, accounts.get_account),
    *project_routes(V3),
    *project_routes(V2),
    *environment_routes(PROJECT),
    *environment_routes(V2),
    # dbt Cloud does not document these two, but clients use them.
    list_environments(ENVIRONMENTS),
    Route("DELETE", f"{ENVIRONMENTS}/{{environment_id}}", environments.delete_environment),
    Route("GET", JOBS, jobs.list_jobs, None, jobs.LISTING, JOB_RELATED),
    Route("POST", JOBS, jobs.create_job, JobRequest, code=201),
    Route("GET", JOB, jobs.get_job, query=JOB_RELATED),
    Route("POST", JOB, jobs.update_job, JobRequest),
    Route("DELETE", JOB, jobs.delete_job),
    Route("GET", f"{VARIABLES}/job", variables.list_job_variables, query=JOB_ID),
    Route("GET", f"{VARIABLES}/environment", variables.list_environment_variables),
    Route("POST", BULK, bulk_variables.create_variables, BulkVariables, code=201),
    Route("PUT", BULK, bulk_variables.update_variables, BulkVariables),
    Route("DELETE", BULK, bulk_variables.delete_variables, VariableNamed),
    Route("POST", VARIABLES, variables.create_variable, VariableRequest, code=201),
    Route("POST", VARIABLE, variables.update_variable, VariableRequest),
    Route("DELETE", VARIABLE, variables.delete_variable),
)
