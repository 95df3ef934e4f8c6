"""The local dbt Cloud's responses have the fields and types that were seen in the real service's.

``captures.yaml`` contains what was seen, and the reason for each remaining difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD
from tests.contract.captures import KINDS, Captures, Difference
from tests.contract.conftest import http_client
from tests.contract.resource_examples import EXAMPLES
from tests.waiting import eventually
from tests.webhook_receiver import WebhookReceiver

CAPTURES = Captures.read()
V2, V3 = "/api/v2/accounts/{account_id}", "/api/v3/accounts/{account_id}"
PROJECT, RUN = f"{V3}/projects/{{project_id}}", f"{V2}/runs/{{run_id}}"
WEBHOOKS, WEBHOOK = f"{V3}/webhooks/subscriptions", f"{V3}/webhooks/subscription"
SUBSCRIPTION = f"{WEBHOOK}/{{subscription_id}}"
COMMAND = "dbt run --select stg_stores"
OTHER_ACCOUNT, NO_RUN, NOT_IMPLEMENTED = ACCOUNT_ID + 1, 2**40, 501
# Each call includes everything that it can, because the sources do not name their parameters.
RELATED = {
    f"GET {PROJECT}/environments/{{environment_id}}": "project,connection,repository",
    f"GET {V2}/runs": "trigger,job,environment,run_steps",
    f"GET {RUN}": "trigger,job,environment,run_steps,debug_logs",
}
EVERY_DAY = {
    "cron": "6 */12 * * 0,1,2,3,4,5,6",
    "date": {"type": "interval_cron", "cron": "6 */12 * * 0,1,2,3,4,5,6"},
    "time": {"type": "every_hour", "interval": 12},
}


class Caller:
    """Calls operations by method and path template, and keeps their responses."""

    def __init__(self, api: httpx.Client, **ids: Any) -> None:
        self.api, self.ids = api, ids
        self.answers: dict[str, list[Any]] = defaultdict(list)

    def call(self, operation: str, json: Any = None, **params: Any) -> Any:
        """Return the ``data`` of a successful response, and keep an error by its code."""
        method, _, template = operation.partition(" ")
        path = template.format(**self.ids).removeprefix("/api")
        if related := RELATED.get(operation):
            params["include_related"] = f"[{related}]"
        response = self.api.request(method, path, json=json, params=params)
        failed = response.is_error and response.status_code != NOT_IMPLEMENTED
        subject = f"{response.status_code} of any operation" if failed else operation
        self.answers[subject].append(response.json())
        return response.json()["data"]


@pytest.fixture(scope="module")
def server(local_dbt_cloud_factory: MakeLocalDbtCloud) -> Iterator[LocalDbtCloud]:
    """Start a server of its own: lists would show what other tests have stored."""
    with local_dbt_cloud_factory() as server:
        yield server


@pytest.fixture(scope="module")
def answers(server: LocalDbtCloud) -> dict[str, list[Any]]:
    """Return the responses of one call, or of a few, for each subject."""
    with http_client(server) as api, WebhookReceiver() as receiver:
        caller = Caller(api, account_id=ACCOUNT_ID, job_id=DAILY_BUILD, connection_id=1)
        call_everything(caller, receiver, server)
    return caller.answers


def call_everything(caller: Caller, receiver: WebhookReceiver, server: LocalDbtCloud) -> None:
    call_webhooks(caller, receiver, server)
    call_runs(caller)
    call_errors(caller)
    create_objects(caller)
    for operation in CAPTURES.subjects:
        if operation.startswith("GET ") and operation not in caller.answers:
            caller.call(operation)
    delete_objects(caller)
    for operation in set(CAPTURES.not_served) - caller.answers.keys():
        caller.call(operation, {})


def call_webhooks(caller: Caller, receiver: WebhookReceiver, server: LocalDbtCloud) -> None:
    """Subscribe, and read the subscription after a run that succeeds."""
    body = {
        "name": "captures",
        "client_url": receiver.url,
        "event_types": ["job.run.completed"],
        "job_ids": [DAILY_BUILD],
        "active": True,
        "description": "captures",
    }
    caller.ids["subscription_id"] = caller.call(f"POST {WEBHOOKS}", json=body)["id"]
    caller.ids["run_id"] = caller.call(
        f"POST {V2}/jobs/{{job_id}}/run", {"cause": "captures", "steps_override": [COMMAND]}
    )["id"]
    assert server.wait(caller.ids["run_id"])["is_success"]
    eventually(lambda: "dispatched_at" in caller.call(f"GET {SUBSCRIPTION}"), "a webhook is sent")
    caller.call(f"GET {WEBHOOKS}")
    caller.call(f"GET {SUBSCRIPTION}/test")
    caller.call(f"PUT {SUBSCRIPTION}", json=body)
    caller.call(f"DELETE {SUBSCRIPTION}")


def call_runs(caller: Caller) -> None:
    """Read the run that succeeded, and cancel two more, of which the second waits."""
    caller.call(f"GET {RUN}")
    caller.call(f"GET {RUN}/artifacts")
    finished = caller.ids["run_id"]
    trigger = f"POST {V2}/jobs/{{job_id}}/run"
    runs = [caller.call(trigger, {"cause": "captures"})["id"] for _ in range(2)]
    caller.call(f"GET {V2}/runs", job_definition_id=DAILY_BUILD, order_by="-id", limit=3)
    for run_id in reversed(runs):
        caller.ids["run_id"] = run_id
        caller.call(f"POST {RUN}/cancel")
    caller.ids["run_id"] = finished


def call_errors(caller: Caller) -> None:
    caller.call(f"GET {V2}/runs", status__in="queued")
    caller.call(f"POST {V2}/jobs", json={"execution": {"timeout_seconds": "long"}})
    for account, run in ((OTHER_ACCOUNT, caller.ids["run_id"]), (ACCOUNT_ID, NO_RUN)):
        other = Caller(caller.api, account_id=account, run_id=run)
        other.answers = caller.answers
        other.call(f"GET {RUN}")
    headers = {"Authorization": "Token wrong"}
    response = caller.api.get(f"/v2/accounts/{ACCOUNT_ID}/runs/", headers=headers)
    caller.answers[f"{response.status_code} of any operation"].append(response.json())


def create_objects(caller: Caller) -> None:
    """Create a project, an environment, a variable and a job with many fields."""
    fields = {"name": "captures", "dbt_project_subdirectory": "dbt"}
    caller.ids["project_id"] = caller.call(f"POST {V3}/projects", fields)["id"]
    caller.call(f"POST {PROJECT}", fields)
    body = {"name": "captures", "account_id": ACCOUNT_ID, "project_id": caller.ids["project_id"]}
    branch = {"use_custom_branch": True, "custom_branch": "main", "connection_id": 1}
    credentials = EXAMPLES["credentials"].body(no_other, 0)
    linked = {"credentials_id": caller.call(f"POST {PROJECT}/credentials", credentials)["id"]}
    created = caller.call(f"POST {PROJECT}/environments", body | branch | linked)
    caller.ids["environment_id"] = created["id"]
    variables = f"{PROJECT}/environment-variables/bulk"
    caller.call(f"POST {variables}", {"env_var": {"new_name": "DBT_CAPTURES", "project": "a"}})
    caller.call(f"PUT {variables}", {"env_var": {"name": "DBT_CAPTURES", "captures": "b"}})
    body |= {"environment_id": created["id"], "schedule": EVERY_DAY, "execute_steps": [COMMAND]}
    caller.ids["job_id"] = caller.call(f"POST {V2}/jobs", body)["id"]


def no_other(kind: str) -> int:
    raise AssertionError(f"needs {kind}")


def delete_objects(caller: Caller) -> None:
    caller.call(f"DELETE {V2}/jobs/{{job_id}}")
    caller.call(f"DELETE {V2}/environments/{{environment_id}}")
    caller.call(f"DELETE {PROJECT}")


def found(subject: str, answers: dict[str, list[Any]]) -> list[Difference]:
    return CAPTURES.differences(subject, answers[subject])


def is_explained(difference: Difference) -> bool:
    return any(list(one.uses(difference)) for one in CAPTURES.differs)


@pytest.mark.parametrize("subject", CAPTURES.subjects)
def test_response_has_the_fields_and_types_of_the_real_service(
    subject: str, answers: dict[str, list[Any]]
) -> None:
    assert answers[subject], f"add a call of {subject}"
    if subject in CAPTURES.not_served:
        codes = {answer["status"]["code"] for answer in answers[subject]}
        assert codes == {NOT_IMPLEMENTED}, "remove it from not_served"
        pytest.skip("not implemented")
    unexplained = [
        f"{one.how}: {one.path}" for one in found(subject, answers) if not is_explained(one)
    ]
    assert not unexplained, "\n".join(unexplained)


def test_every_explanation_is_needed(answers: dict[str, list[Any]]) -> None:
    served = [one for one in CAPTURES.subjects if one not in CAPTURES.not_served]
    differences = [one for subject in served for one in found(subject, answers)]
    for explanation in CAPTURES.differs:
        used = {part for one in differences for part in explanation.uses(one)}
        assert explanation.parts - used == set(), explanation.reason


def test_every_capture_has_a_source() -> None:
    for one in CAPTURES.captures:
        assert one.source.startswith("https://"), one
        assert one.kind in KINDS, one
        assert one.seen, one
    assert len({one.source.split()[0] for one in CAPTURES.captures}) >= 8


def test_not_served_operations_have_captures() -> None:
    assert set(CAPTURES.not_served) <= set(CAPTURES.subjects)
