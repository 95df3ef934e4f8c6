"""Accounts, projects and environments: read through Airflow's hook, changed over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD
from tests.contract.conftest import http_client

V2, V3 = f"v2/accounts/{ACCOUNT_ID}", f"v3/accounts/{ACCOUNT_ID}"
PROJECT, PRODUCTION = 36467, 29118
JOB = {"account_id": ACCOUNT_ID, "name": "Temporary", "execute_steps": ["dbt build"]}


@pytest.fixture
def project(api: httpx.Client) -> Iterator[int]:
    """Yield the id of a new project."""
    made = api.post(f"{V3}/projects", json={"name": "Other shop", "account_id": ACCOUNT_ID})
    yield made.json()["data"]["id"]
    api.delete(f"{V3}/projects/{made.json()['data']['id']}")


def test_whoami_returns_the_account_id(api: httpx.Client) -> None:
    assert api.get("v2/whoami/").json()["data"]["account_id"] == ACCOUNT_ID


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_accounts_endpoints_return_the_only_account(api: httpx.Client, version: str) -> None:
    listed = api.get(f"{version}/accounts").json()
    assert listed["extra"]["order_by"] is None
    assert listed["extra"]["pagination"] == {"count": 1, "total_count": 1}
    assert listed["data"] == [api.get(f"{version}/accounts/{ACCOUNT_ID}/").json()["data"]]


def test_the_hook_reads_projects_and_environments(dbt_cloud_connection: LocalDbtCloud) -> None:
    hook = DbtCloudHook()
    [projects] = [page.json() for page in hook.list_projects(name_contains="jaffle")]
    assert [one["id"] for one in projects["data"]] == [PROJECT]
    project = hook.get_project(PROJECT).json()["data"]
    assert project["connection"]["type"] == "duckdb"
    pages = hook.list_environments(project_id=PROJECT, name_contains="Produc")
    assert [one["id"] for page in pages for one in page.json()["data"]] == [PRODUCTION]
    environment = hook.get_environment(project_id=PROJECT, environment_id=PRODUCTION)
    assert environment.json()["data"]["deployment_type"] == "production"


@pytest.mark.parametrize("home", [V2, V3])
def test_project_is_created_updated_and_deleted(api: httpx.Client, home: str) -> None:
    made = api.post(f"{home}/projects/", json={"id": None, "name": "Shop", "type": 0})
    assert (made.status_code, made.json()["status"]["code"]) == (201, 201)
    one = f"{home}/projects/{made.json()['data']['id']}"
    changed = api.post(one, json={"name": "Shop 2", "dbt_project_subdirectory": "dbt"}).json()
    assert changed["data"] == api.get(one).json()["data"]
    assert changed["data"]["name"] == "Shop 2"
    gone = api.delete(f"{one}/")
    assert (gone.status_code, gone.json()["data"]["state"]) == (200, 2)
    assert api.get(one).status_code == api.delete(one).status_code == 404
    assert changed["data"]["id"] not in ids(api.get(f"{home}/projects/"))
    assert changed["data"]["id"] in ids(api.get(f"{home}/projects/?state=deleted"))


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"{V3}/projects"), ("POST", f"{V2}/jobs"), ("DELETE", f"{V2}/jobs/1/")],
)
def test_trailing_slash_never_causes_a_redirect(api: httpx.Client, method: str, path: str) -> None:
    assert api.request(method, path, json={}).status_code in (400, 404)


def test_environment_update_replaces_all_fields(api: httpx.Client, project: int) -> None:
    every = f"{V3}/projects/{project}/environments/"
    body = {"name": "Staging", "deployment_type": "staging", "dbt_version": "1.11"}
    made = api.post(every, json=body).json()["data"]
    assert (made["project_id"], made["deployment_type"]) == (project, "staging")
    changed = api.post(f"{every}{made['id']}/", json={"name": "Later"}).json()["data"]
    assert (changed["name"], changed["deployment_type"]) == ("Later", None)
    assert (changed["dbt_version"], changed["raw_dbt_version"]) == ("latest", "latest")
    assert api.delete(f"{every}{made['id']}").json()["data"]["state"] == 2
    assert api.get(f"{every}{made['id']}").status_code == 404


def test_account_environments_are_created_listed_and_deleted(
    api: httpx.Client, project: int
) -> None:
    body = {"name": "CI", "type": "development", "project_id": project}
    made = api.post(f"{V2}/environments", json=body).json()["data"]
    assert "T" in made["created_at"]
    listed = api.get(f"{V3}/environments/?project_id={project}").json()
    assert [one["id"] for one in listed["data"]] == [made["id"]]
    assert " " in listed["data"][0]["created_at"]
    assert listed["extra"]["filters"]["project_id"] == project
    assert api.get(f"{V2}/environments/{made['id']}").json()["data"] == made
    assert api.delete(f"{V3}/environments/{made['id']}").status_code == 200
    assert ids(api.get(f"{V3}/environments?project_id={project}")) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=Production", True),
        ("name=Produ", False),
        ("type=deployment", True),
        ("deployment_type=staging", False),
        ("deployment_type__in=['staging','production']", True),
        ("dbt_version__in=latest", True),
        ("credentials_id=7", False),
        (f"id__gt={PRODUCTION - 1}", True),
        (f"id__gt={PRODUCTION}", False),
        (f"pk__in=[{PRODUCTION}, 2]", True),
        ("state=2", False),
        ("no_such_parameter=1", True),
    ],
)
def test_environments_list_applies_its_filters(api: httpx.Client, query: str, found: bool) -> None:
    response = api.get(f"{V3}/projects/{PROJECT}/environments/?{query}")
    assert (PRODUCTION in ids(response)) is found


def test_environment_embeds_requested_related_objects(api: httpx.Client) -> None:
    one = f"{V3}/projects/{PROJECT}/environments/{PRODUCTION}/"
    assert api.get(one).json()["data"]["project"] is None
    embedded = api.get(one, params={"include_related": "[project,connection]"}).json()["data"]
    assert embedded["project"]["id"] == PROJECT
    assert embedded["connection"]["type"] == "duckdb"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (f"{V3}/projects", {}, "name"),
        (f"{V3}/projects", {"name": "x", "account_id": 1}, "account_id"),
        (f"{V3}/projects", {"name": "x", "type": 9}, "type"),
        (f"{V2}/environments", {"name": "x"}, "project_id"),
        (f"{V2}/environments", {"name": "x", "project_id": 1}, "project_id"),
        (f"{V3}/projects/{PROJECT}/environments", {"name": "x", "project_id": 1}, "project_id"),
        (f"{V3}/projects/{PROJECT}/environments", {"name": "x", "type": "y"}, "type"),
    ],
)
def test_invalid_body_is_400_and_names_the_field(
    api: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    response = api.post(path, json=body)
    assert response.status_code == 400
    assert list(response.json()["data"]) == [field]


@pytest.mark.parametrize("order", ["credentials", "-", "id,name", "id desc"])
def test_projects_list_rejects_an_invalid_order_by(api: httpx.Client, order: str) -> None:
    response = api.get(f"{V3}/projects", params={"order_by": order})
    assert response.status_code == 400
    assert "order_by" in response.json()["data"]


def test_projects_list_applies_order_by_and_limit(api: httpx.Client, project: int) -> None:
    page = api.get(f"{V3}/projects?order_by=-id&limit=1&offset=0").json()
    assert [one["id"] for one in page["data"]] == [project]
    assert page["extra"]["pagination"]["count"] == 1
    assert page["extra"]["pagination"]["total_count"] >= 2


def test_deleting_a_project_deletes_its_environments_and_jobs(
    api: httpx.Client, project: int
) -> None:
    every = f"{V3}/projects/{project}/environments"
    environment = api.post(every, json={"name": "Production"}).json()["data"]["id"]
    body = {**JOB, "project_id": project, "environment_id": environment}
    job = api.post(f"{V2}/jobs", json=body).json()["data"]["id"]
    assert api.get(f"{V2}/jobs/{job}").status_code == 200
    api.delete(f"{V3}/projects/{project}")
    assert api.get(f"{V2}/jobs/{job}").status_code == 404
    assert api.get(f"{V2}/environments/{environment}").status_code == 404


def test_an_unknown_endpoint_is_501_and_named(api: httpx.Client) -> None:
    response = api.get(f"{V3}/audit-logs/")
    assert response.status_code == response.json()["status"]["code"] == 501
    message = response.json()["status"]["user_message"]
    assert f"GET /api/{V3}/audit-logs" in message
    assert "README.md lists" in message


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", V2),
        ("PATCH", V2),
        ("GET", f"{V3}/projects/36467/environment-variables/user/"),
        ("PATCH", f"{V2}/jobs/{DAILY_BUILD}/"),
        ("POST", f"{V3}/connections/test/"),  # dbtc calls it
    ],
)
def test_a_method_that_is_not_served_is_501(api: httpx.Client, method: str, path: str) -> None:
    response = api.request(method, path)
    assert response.status_code == 501
    assert f"{method} /api/{path.rstrip('/')}" in response.json()["status"]["user_message"]


def test_a_wrong_method_of_a_page_is_405_and_lists_the_right_ones(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    response = local_dbt_cloud.request("PUT", "/faults")
    assert response.status_code == response.json()["status"]["code"] == 405
    assert response.headers["allow"] == "DELETE, GET, POST"
    assert local_dbt_cloud.request("DELETE", "/health").headers["allow"] == "GET"


def test_the_openapi_document_needs_no_token(local_dbt_cloud: LocalDbtCloud) -> None:
    with http_client(local_dbt_cloud) as client:
        del client.headers["Authorization"]
        document = client.get(f"{local_dbt_cloud.url}/openapi.json").json()
    operation = document["paths"]["/api/v2/accounts/{account_id}/jobs"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/JobRequest"}
    required = document["components"]["schemas"]["JobRequest"]["required"]
    assert set(required) == {"project_id", "environment_id", "name"}


def ids(response: httpx.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["data"]]
