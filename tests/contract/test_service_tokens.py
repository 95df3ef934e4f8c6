"""A service token works for what its permission sets allow, until it is deleted."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD
from tests.contract.conftest import http_client

V2, V3 = f"v2/accounts/{ACCOUNT_ID}", f"v3/accounts/{ACCOUNT_ID}"
PROJECT, PRODUCTION = 36467, 29118
TOKENS = f"{V3}/service-tokens"
JOB = {"name": "Nightly", "project_id": PROJECT, "environment_id": PRODUCTION}
GRANT = {"permission_set": "job_admin", "all_projects": True}


def make_token(api: httpx.Client, *grants: dict[str, Any]) -> dict[str, Any]:
    body = {"name": "CI", "permission_grants": grants}
    response = api.post(f"{TOKENS}/", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()["data"]
    return made


def status(api: httpx.Client, token: str, method: str, path: str, **body: Any) -> int:
    """Return the status of a call with another token than the client's own."""
    headers = {"Authorization": f"Token {token}"}
    return api.request(method, path, headers=headers, json=body or None).status_code


def with_set(api: httpx.Client, name: str, project: int | None = None) -> str:
    """Return a new token with one permission set, in one project or in all."""
    grant = {"permission_set": name, "project_id": project, "all_projects": project is None}
    token: str = make_token(api, grant)["token_string"]
    return token


@pytest.fixture
def other_project(api: httpx.Client) -> int:
    made: int = api.post(f"{V3}/projects/", json={"name": "Other"}).json()["data"]["id"]
    return made


def test_token_is_in_the_response_to_its_creation_only(api: httpx.Client) -> None:
    made = make_token(api, GRANT)
    one = f"{TOKENS}/{made['id']}/"
    assert made["token_string"].startswith("dbtc_")
    assert made["uid"]
    for response in (api.get(one), api.get(f"{TOKENS}/"), api.post(one, json={"name": "New"})):
        assert response.status_code == 200
        assert "token_string" not in response.text
        assert made["token_string"] not in response.text


def test_only_the_hash_of_a_token_is_stored(
    api: httpx.Client, local_dbt_cloud: LocalDbtCloud
) -> None:
    token = make_token(api)["token_string"]
    with sqlite3.connect(local_dbt_cloud.data / "dbt_cloud.db") as database:
        stored = [text for text in database.iterdump() if token.removeprefix("dbtc_") in text]
    assert stored == []


@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
def test_token_works_until_it_is_deleted(api: httpx.Client, scheme: str) -> None:
    made = make_token(api, GRANT)
    headers = {"Authorization": f"{scheme} {made['token_string']}"}
    assert api.get(f"{V2}/jobs/", headers=headers).status_code == 200
    assert api.delete(f"{TOKENS}/{made['id']}/").status_code == 200
    refused = api.get(f"{V2}/jobs/", headers=headers)
    assert refused.status_code == 401
    assert refused.json()["status"]["user_message"] == "Invalid token."


def test_token_stays_invalid_after_a_restart_and_valid_ones_work(
    local_dbt_cloud: LocalDbtCloud, api: httpx.Client
) -> None:
    kept, deleted = make_token(api, GRANT), make_token(api, GRANT)
    api.delete(f"{TOKENS}/{deleted['id']}/")
    local_dbt_cloud.end()
    local_dbt_cloud.start()
    with http_client(local_dbt_cloud) as again:
        assert status(again, kept["token_string"], "GET", f"{V2}/jobs/") == 200
        assert status(again, deleted["token_string"], "GET", f"{V2}/jobs/") == 401


def test_refused_call_has_the_envelope(api: httpx.Client) -> None:
    headers = {"Authorization": f"Token {with_set(api, 'metadata_only')}"}
    response = api.get(f"{V2}/jobs/", headers=headers)
    assert response.status_code == 403
    assert response.json()["status"] == {
        "code": 403,
        "is_success": False,
        "user_message": "You do not have permission to perform this action.",
        "developer_message": None,
    }


@pytest.mark.parametrize(
    ("permission_set", "reads_jobs", "creates_job", "starts_run", "creates_group"),
    [
        ("account_admin", 200, 201, 200, 201),
        ("owner", 200, 201, 200, 201),
        ("account_viewer", 200, 403, 403, 403),
        ("job_admin", 200, 201, 200, 403),
        ("job_runner", 200, 403, 200, 403),
        ("job_viewer", 200, 403, 403, 403),
        ("readonly", 200, 403, 403, 403),
        ("developer", 200, 403, 403, 403),
        ("security_admin", 403, 403, 403, 201),
        ("metadata_only", 403, 403, 403, 403),
        ("webhooks_only", 403, 403, 403, 403),
    ],
)
def test_permission_set_limits_the_calls(
    api: httpx.Client,
    permission_set: str,
    reads_jobs: int,
    creates_job: int,
    starts_run: int,
    creates_group: int,
) -> None:
    token = with_set(api, permission_set)
    assert status(api, token, "GET", f"{V2}/jobs/{DAILY_BUILD}/") == reads_jobs
    assert status(api, token, "POST", f"{V2}/jobs/", **JOB) == creates_job
    assert status(api, token, "POST", f"{V3}/groups/", name="Analysts") == creates_group
    run = {"cause": "test", "steps_override": ["dbt deps"]}
    assert status(api, token, "POST", f"{V2}/jobs/{DAILY_BUILD}/run/", **run) == starts_run


def test_token_without_permissions_reads_the_account_only(api: httpx.Client) -> None:
    token = make_token(api)["token_string"]
    for path in ("v2/accounts/", f"{V2}/", "v2/whoami/"):
        assert status(api, token, "GET", path) == 200
    for path in (f"{V3}/projects/", f"{V2}/jobs/", f"{V3}/groups/", f"{V3}/connections/"):
        assert status(api, token, "GET", path) == 403


def test_permission_of_a_project_is_limited_to_it(api: httpx.Client, other_project: int) -> None:
    run = {"cause": "test", "steps_override": ["dbt deps"]}
    assert api.post(f"{V2}/jobs/{DAILY_BUILD}/run/", json=run).status_code == 200
    token = with_set(api, "job_admin", other_project)
    home = f"{V3}/projects/{other_project}"
    headers = {"Authorization": f"Token {token}"}
    assert status(api, token, "GET", f"{home}/") == 200
    assert status(api, token, "GET", f"{V3}/projects/{PROJECT}/") == 403
    assert status(api, token, "GET", f"{V2}/jobs/{DAILY_BUILD}/") == 403
    assert status(api, token, "POST", f"{V2}/jobs/{DAILY_BUILD}/run/", cause="test") == 403
    assert status(api, token, "POST", f"{V2}/jobs/", **JOB) == 403
    listed = api.get(f"{V3}/projects/", headers=headers).json()
    assert [one["id"] for one in listed["data"]] == [other_project]
    assert listed["extra"]["pagination"]["total_count"] == 1
    for path in (f"{V2}/jobs/", f"{V2}/environments/", f"{V2}/runs/"):
        assert api.get(path, headers=headers).json()["data"] == []
    environment = {"name": "Production", "project_id": other_project}
    assert status(api, token, "POST", f"{V2}/environments/", **environment) == 201
    elsewhere = {**environment, "project_id": PROJECT}
    assert status(api, token, "POST", f"{V2}/environments/", **elsewhere) == 403


def test_permissions_are_replaced_as_a_whole(api: httpx.Client) -> None:
    made = make_token(api, GRANT)
    url = f"{TOKENS}/{made['id']}/permissions/"
    assert [one["permission_set"] for one in api.get(url).json()["data"]] == ["job_admin"]
    viewer = {"permission_set": "job_viewer", "all_projects": True}
    changed = api.post(url, json=[viewer]).json()["data"]
    assert [one["service_token_id"] for one in changed] == [made["id"]]
    assert status(api, made["token_string"], "POST", f"{V2}/jobs/", **JOB) == 403
    assert status(api, made["token_string"], "GET", f"{V2}/jobs/") == 200


def test_permission_of_a_deleted_project_allows_nothing(
    api: httpx.Client, other_project: int
) -> None:
    token = with_set(api, "job_admin", other_project)
    api.delete(f"{V3}/projects/{other_project}/")
    assert status(api, token, "GET", f"{V2}/jobs/") == 403


@pytest.mark.parametrize(("method", "path"), [("GET", "/faults"), ("POST", "/reset")])
def test_service_token_opens_only_the_api(api: httpx.Client, method: str, path: str) -> None:
    token = with_set(api, "account_admin")
    address = httpx.URL(str(api.base_url)).copy_with(path=path)
    headers = {"Authorization": f"Token {token}"}
    assert api.request(method, address, headers=headers).status_code == 403
    assert api.get(address.copy_with(path="/"), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"permission_set": "king"},
        {"project_id": PROJECT},
        {"project_id": 7, "all_projects": False},
        {"all_projects": False},
    ],
)
def test_invalid_permission_is_400(api: httpx.Client, changes: dict[str, Any]) -> None:
    body = {"name": "CI", "permission_grants": [{**GRANT, **changes}]}
    assert api.post(f"{TOKENS}/", json=body).status_code == 400
