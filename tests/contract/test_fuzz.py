"""schemathesis calls every endpoint with valid and invalid input from its OpenAPI document."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD

schemathesis = pytest.importorskip("schemathesis")  # not in the Astro image
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402  # comes with schemathesis
from hypothesis import strategies as st  # noqa: E402
from hypothesis.errors import Unsatisfiable  # noqa: E402

pytestmark = pytest.mark.slow

EXAMPLES = 4  # per endpoint; the whole file takes about half a minute
QUIETLY = settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],  # shrinking an example would take minutes
    suppress_health_check=list(HealthCheck),
)
EVENTS = ["job.run.started", "job.run.completed", "job.run.errored"]
UNREACHABLE = "http://127.0.0.1:9/"  # the discard port has no listener
HEADERS = {"Authorization": "Token local-dbt-cloud-token"}
PARAMETERS = [
    *("limit", "offset", "order_by", "state", "include_related"),
    *("status", "status__in", "pk", "pk__in", "id__gt", "project_id__in", "job_definition_id"),
    *("created_at__range", "finished_at__range", "name__icontains"),
]


@pytest.fixture(scope="module")
def fuzzed(local_dbt_cloud_factory: MakeLocalDbtCloud) -> Iterator[LocalDbtCloud]:
    """Yield a separate server, because the test destroys its jobs."""
    with local_dbt_cloud_factory("--webhook-waits", "0") as server:
        yield server
    shutil.rmtree(server.data, ignore_errors=True)


@pytest.fixture(scope="module")
def existing_values(fuzzed: LocalDbtCloud) -> dict[str, Any]:
    """Return existing values of parameters and fields that must refer to something."""
    run_id = fuzzed.trigger(DAILY_BUILD, steps_override=["dbt parse"])
    run = fuzzed.wait(run_id)
    webhooks = f"{fuzzed.url}/api/v3/accounts/{ACCOUNT_ID}/webhooks"
    body = {"name": "fuzz", "client_url": UNREACHABLE, "event_types": EVENTS, "active": True}
    response = requests.post(f"{webhooks}/subscriptions", json=body, headers=HEADERS, timeout=30)
    webhook_id = response.json()["data"]["id"]
    test = f"{webhooks}/subscription/{webhook_id}/test"
    event = requests.get(test, headers=HEADERS, timeout=30).json()["data"]
    return {
        "account_id": ACCOUNT_ID,
        "project_id": run["project_id"],
        "environment_id": run["environment_id"],
        "job_id": DAILY_BUILD,
        "job_definition_id": DAILY_BUILD,
        "run_id": run_id,
        "step_id": run["run_steps"][0]["id"],
        "name:path": "manifest.json",
        "subscription_id": webhook_id,
        "event_id": event["event_id"],
        "client_url": UNREACHABLE,
        "state": 1,  # 2 would delete what the other calls need
        "execute_steps": ["dbt deps"],
        "steps_override": ["dbt deps"],
    }


@pytest.fixture(scope="module")
def operations(fuzzed: LocalDbtCloud, existing_values: dict[str, Any]) -> list[Any]:
    """Return all operations but those for tests: faults would come back, and a reset end runs."""
    document = requests.get(f"{fuzzed.url}/openapi.json", headers=HEADERS, timeout=30).json()
    fill_in(document, existing_values)
    loaded = schemathesis.openapi.from_dict(document)
    loaded.config.update(base_url=fuzzed.url)
    return [
        result.ok() for result in loaded.exclude(path=["/faults", "/reset"]).get_all_operations()
    ]


def fill_in(part: Any, existing_values: dict[str, Any]) -> None:
    """Limit the document to existing values, and to calls with a token."""
    if isinstance(part, list):
        for inner in part:
            fill_in(inner, existing_values)
    if not isinstance(part, dict):
        return
    part.pop("security", None)
    if part.get("in") == "path" and part["name"] in existing_values:
        part["schema"] = {"enum": [existing_values[part["name"]]]}
    for name, value in part.get("properties", {}).items():
        if name in existing_values:
            part["properties"][name] = {"enum": [existing_values[name]]}
        else:
            fill_in(value, existing_values)
    for name, inner in part.items():
        if name != "properties":
            fill_in(inner, existing_values)


def check(response: Any) -> None:
    """Reject server errors, except 501 for an invented URL, and failures without the envelope."""
    sent = response.request
    assert response.status_code < 500 or response.status_code == 501, (
        sent.method,
        sent.url,
        sent.body,
        response.text,
    )
    assert "Traceback" not in response.text
    if response.status_code >= 400:
        assert response.json()["status"]["code"] == response.status_code


@pytest.mark.parametrize(
    ("mode", "deletes"), [("POSITIVE", False), ("NEGATIVE", False), ("POSITIVE", True)]
)
def test_documented_operations_cause_no_server_error(
    operations: list[Any], mode: str, deletes: bool
) -> None:
    """Send documented input and undocumented input; deletions come last."""
    chosen = [one for one in operations if (one.method.upper() == "DELETE") is deletes]
    assert chosen
    with requests.Session() as session:
        session.headers.update(HEADERS)
        for operation in chosen:
            cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode])

            @QUIETLY
            @given(case=cases)
            def call(case: Any) -> None:
                check(case.call(session=session))

            with suppress(Unsatisfiable):  # a call without parameters has no invalid form
                call()


@pytest.mark.parametrize("listing", ["v2/{}/runs/", "v2/{}/jobs/", "v3/{}/projects/"])
@QUIETLY
@given(query=st.lists(st.tuples(st.sampled_from(PARAMETERS), st.text(max_size=40)), max_size=6))
def test_list_queries_cause_no_server_error(
    fuzzed: LocalDbtCloud, listing: str, query: list[tuple[str, str]]
) -> None:
    path = listing.format(f"accounts/{ACCOUNT_ID}")
    encodable = [(name, value.encode(errors="replace").decode()) for name, value in query]
    check(requests.get(f"{fuzzed.url}/api/{path}", encodable, headers=HEADERS, timeout=30))


@QUIETLY
@given(body=st.binary(max_size=200))
def test_binary_bodies_cause_no_server_error(fuzzed: LocalDbtCloud, body: bytes) -> None:
    address = f"{fuzzed.url}/api/v3/accounts/{ACCOUNT_ID}/webhooks/subscriptions"
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {**HEADERS, "Content-Type": kind}
        check(requests.post(address, body, headers=headers, timeout=30))
