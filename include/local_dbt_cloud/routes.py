"""Every endpoint: method and path → handler. README.md lists the same ones; a test compares."""

from __future__ import annotations

from include.local_dbt_cloud.catalog_routes import CATALOG_ROUTES
from include.local_dbt_cloud.definitions import RunRequest
from include.local_dbt_cloud.faults import Fault
from include.local_dbt_cloud.handlers import (
    artifacts,
    faults,
    jobs,
    retries,
    runs,
    steps,
    webhooks,
)
from include.local_dbt_cloud.route import V2, V3, Route, related
from include.local_dbt_cloud.webhooks.request import SubscriptionRequest

WEBHOOK = f"{V3}/webhooks/subscription/{{subscription_id}}"
STEP_RELATED = related("debug_logs")

ROUTES = (
    *CATALOG_ROUTES,
    Route("POST", f"{V2}/jobs/{{job_id}}/run", jobs.trigger_run, RunRequest),
    Route("POST", f"{V2}/jobs/{{job_id}}/rerun", jobs.rerun_job),
    Route("GET", f"{V2}/runs", runs.list_runs, listing=runs.LISTING),
    Route("GET", f"{V2}/runs/{{run_id}}", runs.get_run),
    Route("POST", f"{V2}/runs/{{run_id}}/cancel", runs.cancel_run),
    Route("GET", f"{V2}/runs/{{run_id}}/retry", retries.get_retry),
    Route("POST", f"{V2}/runs/{{run_id}}/retry", retries.retry_run),
    Route("GET", f"{V2}/steps/{{step_id}}", steps.get_step, query=STEP_RELATED),
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
        listing=webhooks.SUBSCRIPTIONS,
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
    Route("GET", f"{WEBHOOK}/events", webhooks.list_events, listing=webhooks.EVENTS),
    Route("GET", f"{WEBHOOK}/event/{{event_id}}/receipt", webhooks.get_receipt),
    Route("GET", "/faults", faults.list_faults),
    Route("POST", "/faults", faults.add_fault, Fault, code=201),
    Route("DELETE", "/faults", faults.clear_faults),
)
