"""schemathesis calls every endpoint as its own OpenAPI document describes it, and worse."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests

from tests.conftest import CERTIFICATES
from tests.running_dbt_cloud import ACCOUNT_ID, DAILY_BUILD, RunningDbtCloud, prepare_data

schemathesis = pytest.importorskip("schemathesis")  # not in the Astro image
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402  # comes with schemathesis
from hypothesis import strategies as st  # noqa: E402
from hypothesis.errors import Unsatisfiable  # noqa: E402

pytestmark = pytest.mark.slow

EXAMPLES = 4  # per endpoint; the whole file takes about half a minute
QUIETLY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # looking for a smaller example would take minutes
    suppress_health_check=list(HealthCheck),
)
EVENTS = ["job.run.started", "job.run.completed", "job.run.errored"]
NOWHERE = "http://127.0.0.1:9/"  # nobody listens on the discard port
HEADERS = {"Authorization": "Token local-dbt-cloud-token"}
PARAMETERS = [
    *("limit", "offset", "order_by", "state", "include_related"),
    *("status", "status__in", "pk", "pk__in", "id__gt", "project_id__in", "job_definition_id"),
    *("created_at__range", "finished_at__range", "name__icontains"),
]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDbtCloud]:
    """A server of its own: its jobs do not survive this."""
    data = tmp_path_factory.mktemp("fuzz")
    prepare_data(CERTIFICATES.ca.parent, data)
    with RunningDbtCloud(data, ("--webhook-waits", "0")) as server:
        yield server
    shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="module")
def known(fuzzed: RunningDbtCloud) -> dict[str, Any]:
    """Names of parameters and fields whose values must exist for a call to get anywhere."""
    run_id = fuzzed.trigger(steps_override=["dbt parse"])
    run = fuzzed.wait(run_id)
    webhooks = f"{fuzzed.url}/api/v3/accounts/{ACCOUNT_ID}/webhooks"
    body = {"name": "fuzz", "client_url": NOWHERE, "event_types": EVENTS, "active": True}
    answer = requests.post(f"{webhooks}/subscriptions", json=body, headers=HEADERS, timeout=30)
    webhook_id = answer.json()["data"]["id"]
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
        "client_url": NOWHERE,
        "state": 1,  # 2 would delete what the other calls need
        "execute_steps": ["dbt deps"],
        "steps_override": ["dbt deps"],
    }


@pytest.fixture(scope="module")
def operations(fuzzed: RunningDbtCloud, known: dict[str, Any]) -> list[Any]:
    """All but ``/faults``, which would do what it is asked to."""
    document = requests.get(f"{fuzzed.url}/openapi.json", headers=HEADERS, timeout=30).json()
    fill_in(document, known)
    loaded = schemathesis.openapi.from_dict(document)
    loaded.config.update(base_url=fuzzed.url)
    return [result.ok() for result in loaded.exclude(path="/faults").get_all_operations()]


def fill_in(part: Any, known: dict[str, Any]) -> None:
    """Narrows the document to values that exist, and to calls that have the token."""
    if isinstance(part, list):
        for inner in part:
            fill_in(inner, known)
    if not isinstance(part, dict):
        return
    part.pop("security", None)
    if part.get("in") == "path" and part["name"] in known:
        part["schema"] = {"enum": [known[part["name"]]]}
    for name, value in part.get("properties", {}).items():
        if name in known:
            part["properties"][name] = {"enum": [known[name]]}
        else:
            fill_in(value, known)
    for name, inner in part.items():
        if name != "properties":
            fill_in(inner, known)


def check(answer: Any) -> None:
    """No server error, except 501 for an address made up; a failure is in the envelope."""
    sent = answer.request
    assert answer.status_code < 500 or answer.status_code == 501, (
        sent.method,
        sent.url,
        sent.body,
        answer.text,
    )
    assert "Traceback" not in answer.text
    if answer.status_code >= 400:
        assert answer.json()["status"]["code"] == answer.status_code


@pytest.mark.parametrize(
    ("mode", "deletes"), [("POSITIVE", False), ("NEGATIVE", False), ("POSITIVE", True)]
)
def test_documented_operations_cause_no_server_error(
    operations: list[Any], mode: str, deletes: bool
) -> None:
    """Positive: what the document allows. Negative: what it does not. Deletions come last."""
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

            with suppress(Unsatisfiable):  # nothing can be wrong with a call without parameters
                call()


@pytest.mark.parametrize("listing", ["v2/{}/runs/", "v2/{}/jobs/", "v3/{}/projects/"])
@QUIETLY
@given(query=st.lists(st.tuples(st.sampled_from(PARAMETERS), st.text(max_size=40)), max_size=6))
def test_list_queries_cause_no_server_error(
    fuzzed: RunningDbtCloud, listing: str, query: list[tuple[str, str]]
) -> None:
    path = listing.format(f"accounts/{ACCOUNT_ID}")
    encodable = [(name, value.encode(errors="replace").decode()) for name, value in query]
    check(requests.get(f"{fuzzed.url}/api/{path}", encodable, headers=HEADERS, timeout=30))


@QUIETLY
@given(body=st.binary(max_size=200))
def test_binary_bodies_cause_no_server_error(fuzzed: RunningDbtCloud, body: bytes) -> None:
    address = f"{fuzzed.url}/api/v3/accounts/{ACCOUNT_ID}/webhooks/subscriptions"
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {**HEADERS, "Content-Type": kind}
        check(requests.post(address, body, headers=headers, timeout=30))
