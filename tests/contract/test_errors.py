"""Errors have dbt Cloud's envelope, codes and messages."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.api.operations import not_served_operations
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD


def status_of(response: httpx.Response) -> dict[str, Any]:
    status: dict[str, Any] = response.json()["status"]
    assert status["code"] == response.status_code
    assert status["is_success"] is False
    return status


@pytest.mark.parametrize("sent", ["", "Token wrong", "Basic eDp5", "local-dbt-cloud-token"])
def test_a_wrong_token_is_401(local_dbt_cloud: LocalDbtCloud, sent: str) -> None:
    response = local_dbt_cloud.request("GET", "jobs/", headers={"Authorization": sent})
    assert response.status_code == 401
    assert status_of(response)["user_message"] == "Invalid token."


@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
def test_token_and_bearer_schemes_are_accepted(local_dbt_cloud: LocalDbtCloud, scheme: str) -> None:
    sent = {"Authorization": f"{scheme} {local_dbt_cloud.token}"}
    assert local_dbt_cloud.request("GET", "jobs/", headers=sent).status_code == 200


def test_another_account_is_403(local_dbt_cloud: LocalDbtCloud) -> None:
    response = local_dbt_cloud.request("GET", "/api/v2/accounts/1/jobs/")
    assert response.status_code == 403
    assert status_of(response)["user_message"] == "Access denied: Token is not scoped to account."


@pytest.mark.parametrize(
    "path",
    ["jobs/1/", "runs/999999/", "runs/99999999999999999999999/", "runs/abc/", "runs/-1/"],
)
def test_unknown_job_or_run_is_404(local_dbt_cloud: LocalDbtCloud, path: str) -> None:
    response = local_dbt_cloud.request("GET", path)
    assert response.status_code == 404
    assert status_of(response)["user_message"].startswith("The requested resource was not found.")


@pytest.mark.parametrize("path", ["jobs/1/run/", "runs/999999/cancel/"])
def test_action_on_an_unknown_job_or_run_is_404(local_dbt_cloud: LocalDbtCloud, path: str) -> None:
    response = local_dbt_cloud.request("POST", path, json={"cause": "test"})
    assert response.status_code == 404
    status_of(response)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "cause"),
        (b"{}", "cause"),
        (b'{"cause": ""}', "cause"),
        (b'{"cause": "test", "github_pull_request_id": "3209"}', "github_pull_request_id"),
        (b'{"cause": "test", "steps_override": ["rm -rf /"]}', "steps_override"),
        (b'{"cause": "test", "steps_override": ["dbt build --project-dir /"]}', "steps_override"),
        (b'{"cause": "test", "steps_override": ["dbt init"]}', "steps_override"),
        (b'{"cause": "test", "github_pull_request_id": 0}', "github_pull_request_id"),
        (b'{"cause": "x", "github_pull_request_id": 7, "gitlab_merge_request_id": 8}', "body"),
    ],
)
def test_a_wrong_trigger_is_400_and_names_the_field(
    local_dbt_cloud: LocalDbtCloud, body: bytes, field: str
) -> None:
    response = local_dbt_cloud.request("POST", f"jobs/{DAILY_BUILD}/run/", content=body)
    assert response.status_code == 400
    assert "double check the provided data" in status_of(response)["user_message"]
    assert list(response.json()["data"]) == [field]


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000, b'"' + b"x" * 2**20 + b'"'])
def test_an_unreadable_body_is_400(local_dbt_cloud: LocalDbtCloud, body: bytes) -> None:
    response = local_dbt_cloud.request("POST", f"jobs/{DAILY_BUILD}/run/", content=body)
    assert response.status_code == 400
    status_of(response)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "offset=-1", "order_by=name", "status=x", "state__in=["]
)
def test_invalid_parameter_is_400_and_an_unknown_one_is_ignored(
    local_dbt_cloud: LocalDbtCloud, query: str
) -> None:
    response = local_dbt_cloud.request("GET", f"runs/?{query}")
    is_known_parameter = not query.startswith("state__in")  # unknown ones are ignored
    assert response.status_code == (400 if is_known_parameter else 200)


def test_documented_operation_that_is_not_served_is_501(local_dbt_cloud: LocalDbtCloud) -> None:
    """COVERAGE.md lists them; neither 404 nor 405 would show that dbt Cloud has them."""
    missing = not_served_operations()
    for one in missing:
        path = re.sub(r"\{[^}]*\}", "1", one.path.replace("{account_id}", f"{ACCOUNT_ID}"))
        response = local_dbt_cloud.request(one.method, path)
        assert response.status_code == 501, (one, response.text)
        status_of(response)
    assert missing
