"""All endpoints: method and path → handler. A test compares README.md with this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from ..storage.schemas import RunRequest
from .faults import Fault
from .handlers import (
    accounts,
    artifacts,
    bulk_variables,
    environments,
    faults,
    jobs,
    projects,
    reset,
    runs,
    users,
    variables,
    webhooks,
)
from .handlers.grants import GrantList
from .handlers.resources import Resources
from .handlers.settings import Setting
from .kinds import GRANTS, PROJECT, RESOURCES, SETTINGS, V2, V3
from .query import INTEGER, Listing, many
from .request_schemas import (
    AssignedGroups,
    BulkVariables,
    EnvironmentRequest,
    JobRequest,
    ProjectRequest,
    SubscriptionRequest,
    VariableNamed,
    VariableRequest,
)
from .resource_schemas import Grants


@dataclass(frozen=True)
class Route:
    """An endpoint; its path has no trailing slash, requests may have one.

    ``body`` is the schema of the request, ``listing`` the filters of a list, ``query`` its other
    parameters and ``code`` the status of a success: ``/openapi.json`` shows them.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    body: type[BaseModel] | None = None
    listing: Listing | None = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    code: int = 200


def related(*names: str) -> dict[str, Mapping[str, Any]]:
    """Return the parameter ``include_related`` with its accepted names."""
    return {"include_related": many({"type": "string", "enum": list(names)})}


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
STEP_RELATED = related("debug_logs")


def project_routes(account: str) -> tuple[Route, ...]:
    every, one = f"{account}/projects", f"{account}/projects/{{project_id}}"
    return (
        Route("GET", every, projects.list_projects, None, projects.LISTING, PROJECT_RELATED),
        Route("POST", every, projects.create_project, ProjectRequest, code=201),
        Route("GET", one, projects.get_project, query=PROJECT_RELATED),
        Route("POST", one, projects.update_project, ProjectRequest),
        Route("DELETE", one, projects.delete_project),
    )


def environment_list_route(path: str) -> Route:
    handler, listing = environments.list_environments, environments.LISTING
    return Route("GET", path, handler, listing=listing, query=ENVIRONMENT_RELATED)


def environment_routes(parent: str) -> tuple[Route, ...]:
    every, one = f"{parent}/environments", f"{parent}/environments/{{environment_id}}"
    return (
        environment_list_route(every),
        Route("POST", every, environments.create_environment, EnvironmentRequest, code=201),
        Route("GET", one, environments.get_environment, query=ENVIRONMENT_RELATED),
        Route("POST", one, environments.update_environment, EnvironmentRequest),
        Route("DELETE", one, environments.delete_environment),
    )


def resource_routes(kind: Resources) -> tuple[Route, ...]:
    one = f"{kind.path}/{{resource_id}}"
    handlers = {"POST": kind.replace, "PUT": kind.replace, "PATCH": kind.merge}
    return (
        Route("GET", kind.path, kind.list_all, listing=kind.listing),
        Route("POST", kind.path, kind.create, kind.schema, code=201),
        Route("GET", one, kind.get),
        *(Route(method, one, handlers[method], kind.schema) for method in kind.updates),
        Route("DELETE", one, kind.delete),
    )


def grant_routes(grants: GrantList) -> tuple[Route, ...]:
    return (
        Route("GET", grants.path, grants.list_all),
        Route("POST", grants.path, grants.replace, Grants),
    )


def setting_routes(setting: Setting) -> tuple[Route, ...]:
    return (
        Route("GET", setting.path, setting.get),
        Route(setting.update, setting.path, setting.change, setting.schema),
    )


ENVIRONMENTS = f"{V3}/environments"
VARIABLES = f"{PROJECT}/environment-variables"
BULK = f"{VARIABLES}/bulk"
VARIABLE = f"{VARIABLES}/{{variable_id}}"
JOBS, JOB = f"{V2}/jobs", f"{V2}/jobs/{{job_id}}"
WEBHOOK = f"{V3}/webhooks/subscription/{{subscription_id}}"

ROUTES = (
    Route("GET", "/api/v2/whoami", accounts.whoami),
    Route("GET", "/api/v2/accounts", accounts.list_accounts),
    Route("GET", "/api/v3/accounts", accounts.list_accounts),
    Route("GET", V2, accounts.get_account),
    Route("GET", V3, accounts.get_account),
    *project_routes(V3),
    *project_routes(V2),
    *environment_routes(PROJECT),
    *environment_routes(V2),
    # dbt Cloud does not document these two, but clients use them.
    environment_list_route(ENVIRONMENTS),
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
    Route("POST", f"{V2}/jobs/{{job_id}}/run", jobs.trigger_run, RunRequest),
    Route("POST", f"{V2}/jobs/{{job_id}}/rerun", jobs.rerun_job),
    Route("GET", f"{V2}/runs", runs.list_runs, listing=runs.LISTING),
    Route("GET", f"{V2}/runs/{{run_id}}", runs.get_run),
    Route("POST", f"{V2}/runs/{{run_id}}/cancel", runs.cancel_run),
    Route("GET", f"{V2}/runs/{{run_id}}/retry", runs.get_retry),
    Route("POST", f"{V2}/runs/{{run_id}}/retry", runs.retry_run),
    Route("GET", f"{V2}/steps/{{step_id}}", runs.get_step, query=STEP_RELATED),
    Route(
        "GET",
        f"{V2}/jobs/{{job_id}}/artifacts/{{name:path}}",
        artifacts.get_job_artifact,
        listing=runs.LISTING,
    ),
    Route("GET", f"{V2}/runs/{{run_id}}/artifacts", artifacts.list_artifacts),
    Route("GET", f"{V2}/runs/{{run_id}}/artifacts/{{name:path}}", artifacts.get_artifact),
    Route(
        "GET",
        f"{V3}/webhooks/subscriptions",
        webhooks.list_subscriptions,
        listing=webhooks.SUBSCRIPTION_LISTING,
    ),
    Route(
        "POST",
        f"{V3}/webhooks/subscriptions",
        webhooks.create_subscription,
        SubscriptionRequest,
        code=201,
    ),
    Route("GET", WEBHOOK, webhooks.get_subscription),
    Route("PUT", WEBHOOK, webhooks.replace_subscription, SubscriptionRequest),
    Route("DELETE", WEBHOOK, webhooks.delete_subscription),
    Route("GET", f"{WEBHOOK}/test", webhooks.send_test_event),
    Route("GET", f"{WEBHOOK}/events", webhooks.list_events, listing=webhooks.EVENT_LISTING),
    Route("GET", f"{WEBHOOK}/event/{{event_id}}/receipt", webhooks.get_receipt),
    *(route for setting in SETTINGS for route in setting_routes(setting)),
    *(route for grants in GRANTS for route in grant_routes(grants)),
    *(route for kind in RESOURCES for route in resource_routes(kind)),
    Route("GET", f"{V3}/users", users.list_users),
    Route("GET", f"{V2}/users", users.list_users),
    Route("GET", f"{V2}/users/{{user_id}}", users.get_user),
    Route("POST", f"{V3}/assign-groups", users.assign_groups, AssignedGroups),
    Route("GET", "/faults", faults.list_faults),
    Route("POST", "/faults", faults.add_fault, Fault, code=201),
    Route("DELETE", "/faults", faults.clear_faults),
    Route("POST", "/reset", reset.reset),
)
