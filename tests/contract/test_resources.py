"""Every kind of stored resource is created, read, listed, changed and deleted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.api.kinds import RESOURCES
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from tests.bundled import ACCOUNT_ID
from tests.contract.conftest import http_client
from tests.contract.resource_examples import EXAMPLES, KINDS, SECRET, Workspace

V3 = f"v3/accounts/{ACCOUNT_ID}"
UNKNOWN = 1_999_999_999


def new_workspace(api: httpx.Client) -> Workspace:
    made = api.post(f"{V3}/projects/", json={"name": "Workspace"}).json()["data"]
    return Workspace(api, made["id"])


@pytest.fixture
def workspace(api: httpx.Client) -> Workspace:
    return new_workspace(api)


def listed(workspace: Workspace, url: str, row_id: int) -> list[Any]:
    """Return the resource as its list shows it; an account's list has those of other tests too."""
    response = workspace.api.get(f"{url}/", params={"pk": row_id})
    assert response.json()["extra"]["filters"]["pk"] == row_id
    data: list[Any] = response.json()["data"]
    return data


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == {kind.kind for kind in RESOURCES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_resource_is_created_read_listed_changed_and_deleted(
    workspace: Workspace, name: str
) -> None:
    api, kind, example = workspace.api, KINDS[name], EXAMPLES[name]
    url, body = workspace.url(kind), workspace.body(name)
    made = api.post(f"{url}/", json=body)
    assert made.status_code == 201
    one = f"{url}/{made.json()['data']['id']}"
    shown = api.get(f"{one}/").json()["data"]
    assert shown.items() <= made.json()["data"].items()
    assert listed(workspace, url, shown["id"]) == [shown]
    assert (shown["account_id"], shown["state"]) == (ACCOUNT_ID, 1)

    for method in kind.updates:
        sent = example.change if method == "PATCH" else {**shown, **body, **example.change}
        changed = api.request(method, one, json=sent)
        assert changed.status_code == 200, changed.text
        for field in example.change.keys() - {"config"}:
            assert changed.json()["data"][field] == example.change[field]
        assert api.get(one).json()["data"]["id"] == shown["id"]

    gone = api.delete(f"{one}/")
    assert (gone.status_code, gone.json()["data"]["state"]) == (200, 2)
    assert api.get(one).status_code == api.delete(one).status_code == 404
    assert listed(workspace, url, shown["id"]) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_invalid_resource_is_400_and_names_the_field(workspace: Workspace, name: str) -> None:
    wrong = EXAMPLES[name].wrong
    body = {**workspace.body(name), **wrong}
    response = workspace.api.post(workspace.url(KINDS[name]), json=body)
    assert response.status_code == 400
    assert list(response.json()["data"]) == list(wrong)


@pytest.mark.parametrize("name", EXAMPLES)
def test_unknown_resource_is_404(workspace: Workspace, name: str) -> None:
    url = workspace.url(KINDS[name])
    assert workspace.api.get(f"{url}/{UNKNOWN}/").status_code == 404
    assert workspace.api.delete(f"{url}/{UNKNOWN}/").status_code == 404


def test_id_of_another_kind_is_404(workspace: Workspace) -> None:
    group = workspace.make("group")
    assert workspace.api.get(f"{V3}/groups/{group}/").status_code == 200
    assert workspace.api.get(f"{V3}/connections/{group}/").status_code == 404


def test_resource_of_another_project_is_404_and_not_accepted_in_a_body(
    workspace: Workspace, api: httpx.Client
) -> None:
    other = new_workspace(api)
    credentials = other.make("credentials")
    assert api.get(f"{workspace.url(KINDS['credentials'])}/{credentials}/").status_code == 404
    body = workspace.body("profile") | {"credentials_id": credentials}
    response = api.post(f"{workspace.url(KINDS['profile'])}/", json=body)
    assert response.status_code == 400
    assert response.json()["data"] == {
        "credentials_id": f"credentials {credentials} does not exist"
    }


def test_secrets_are_neither_returned_nor_stored_nor_logged(
    make_local_dbt_cloud: MakeLocalDbtCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    server = make_local_dbt_cloud()
    with http_client(server) as api:
        workspace = new_workspace(api)
        for name, kind in KINDS.items():
            url = workspace.url(kind)
            made = api.post(f"{url}/", json=workspace.body(name))
            assert SECRET not in made.text
            assert SECRET not in api.get(f"{url}/{made.json()['data']['id']}/").text
    server.end()
    assert SECRET not in capfd.readouterr().err
    files = [file for file in server.data.rglob("*") if file.is_file()]
    assert files
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []


def test_patch_keeps_other_fields_and_null_clears_one(workspace: Workspace) -> None:
    one = f"{V3}/connections/{workspace.make('connection')}/"
    api = workspace.api
    changed = api.patch(one, json={"config": {"role": "r"}}).json()["data"]
    assert (changed["config"]["role"], changed["config"]["account"]) == ("r", "a")
    cleared = api.patch(one, json={"config": {"role": None}}).json()["data"]
    assert (cleared["config"]["role"], cleared["config"]["account"]) == (None, "a")


def test_patch_replaces_extended_attributes(workspace: Workspace) -> None:
    row_id = workspace.make("extended_attributes")
    one = f"{workspace.url(KINDS['extended_attributes'])}/{row_id}/"
    changed = workspace.api.patch(one, json={"extended_attributes": {"schema": "s"}})
    assert changed.json()["data"]["extended_attributes"] == {"schema": "s"}


def test_environment_shows_connection_credentials_attributes_and_profile(
    workspace: Workspace,
) -> None:
    ids = {
        "connection_id": workspace.make("connection"),
        "credentials_id": workspace.make("credentials"),
        "extended_attributes_id": workspace.make("extended_attributes"),
        "primary_profile_id": workspace.make("profile"),
    }
    every = f"{V3}/projects/{workspace.project}/environments/"
    made = workspace.api.post(every, json={"name": "Production", **ids}).json()["data"]
    assert ids.items() <= made.items()
    assert ids.items() <= workspace.api.get(f"{every}{made['id']}/").json()["data"].items()
    profile = f"{workspace.url(KINDS['profile'])}/{ids['primary_profile_id']}/"
    bound = workspace.api.get(profile).json()["data"]["primary_bindings"]
    assert [one["id"] for one in bound] == [made["id"]]
    plain = workspace.api.post(f"{every}{made['id']}/", json={"name": "Plain"}).json()["data"]
    assert {plain[name] for name in ids} == {None}


def test_environment_and_project_embed_what_they_name(workspace: Workspace) -> None:
    api, home = workspace.api, f"{V3}/projects/{workspace.project}/"
    ids = {name: workspace.make(name) for name in ("connection", "credentials", "repository")}
    body = {"connection_id": ids["connection"], "credentials_id": ids["credentials"]}
    made = api.post(f"{home}environments/", json={"name": "Production", **body}).json()["data"]
    query = "include_related=[connection,credentials]"
    shown = api.get(f"{home}environments/{made['id']}/?{query}").json()["data"]
    assert (shown["connection"]["name"], shown["credentials"]["type"]) == ("Snowflake", "adapter")
    changed = {"name": "Workspace", "repository_id": ids["repository"]}
    project = api.post(home, json=changed).json()["data"]
    assert project["repository"]["id"] == ids["repository"]


@pytest.mark.parametrize(
    "field", ["connection_id", "credentials_id", "extended_attributes_id", "primary_profile_id"]
)
def test_environment_with_an_unknown_id_is_400(workspace: Workspace, field: str) -> None:
    every = f"{V3}/projects/{workspace.project}/environments/"
    response = workspace.api.post(every, json={"name": "Production", field: UNKNOWN})
    assert response.status_code == 400
    assert list(response.json()["data"]) == [field]


def test_deleting_a_project_deletes_its_resources(workspace: Workspace) -> None:
    attributes = workspace.make("extended_attributes")
    layer = workspace.make("semantic_layer_credentials")
    connection = workspace.make("connection")
    api = workspace.api
    assert api.delete(f"{V3}/projects/{workspace.project}/").status_code == 200
    home = workspace.url(KINDS["extended_attributes"])
    assert api.get(f"{home}/{attributes}/").status_code == 404
    assert api.get(f"{V3}/semantic-layer-credentials/{layer}/").status_code == 404
    assert api.get(f"{V3}/connections/{connection}/").status_code == 200


def test_project_in_the_body_of_an_account_resource_is_ignored(workspace: Workspace) -> None:
    body = {"name": "Analysts", "project_id": workspace.project}
    made = workspace.api.post(f"{V3}/groups/", json=body).json()["data"]
    assert "project_id" not in made
    workspace.api.delete(f"{V3}/projects/{workspace.project}/")
    assert workspace.api.get(f"{V3}/groups/{made['id']}/").status_code == 200


def test_reset_deletes_resources(make_local_dbt_cloud: MakeLocalDbtCloud) -> None:
    server = make_local_dbt_cloud()
    with http_client(server) as api:
        group = new_workspace(api).make("group")
        server.reset()
        assert api.get(f"{V3}/groups/{group}/").status_code == 404


def test_permissions_of_a_group_are_replaced(workspace: Workspace) -> None:
    api, group = workspace.api, workspace.make("group")
    grant = {"permission_set": "job_admin", "project_id": workspace.project}
    url = f"{V3}/group-permissions/{group}/"
    api.post(url, json=[grant, {"permission_set": "git_admin", "all_projects": True}])
    changed = api.post(url, json=[grant]).json()["data"]
    assert [(one["permission_set"], one["group_id"]) for one in changed] == [("job_admin", group)]
    assert api.get(f"{V3}/groups/{group}/").json()["data"]["group_permissions"] == changed
    wrong = api.post(url, json=[grant, {"permission_set": "king"}])
    assert wrong.status_code == 400
    assert list(wrong.json()["data"]["1"]) == ["permission_set"]
    assert api.post(url, json=grant).status_code == 400


def test_user_is_in_the_assigned_groups(workspace: Workspace) -> None:
    api, group = workspace.api, workspace.make("group")
    for version in ("v2", "v3"):
        users = api.get(f"{version}/accounts/{ACCOUNT_ID}/users/").json()["data"]
        assert [one["id"] for one in users] == [1]
    body = {"user_id": 1, "desired_group_ids": [group]}
    assert api.post(f"{V3}/assign-groups/", json=body).status_code == 200
    user = api.get(f"v2/accounts/{ACCOUNT_ID}/users/1/").json()["data"]
    assert [one["id"] for one in user["permissions"][0]["groups"]] == [group]
    assert api.get(f"v2/accounts/{ACCOUNT_ID}/users/2/").status_code == 404
    for wrong in ({**body, "user_id": 2}, {**body, "desired_group_ids": [UNKNOWN]}):
        assert api.post(f"{V3}/assign-groups/", json=wrong).status_code == 400


@pytest.mark.parametrize(
    ("owner", "path", "method", "field"),
    [
        (None, "scim-config", "POST", "enabled"),
        ("connection", "connections/{}/catalog-configs", "PATCH", "schema_allow"),
        ("environment", "environments/{}/model-notifications", "POST", "on_failure"),
    ],
)
def test_setting_has_defaults_and_keeps_its_changes(
    workspace: Workspace, owner: str | None, path: str, method: str, field: str
) -> None:
    api, owner_id = workspace.api, workspace.make(owner) if owner else None
    url = f"{V3}/{path.format(owner_id)}/"
    before = api.get(url).json()["data"]
    value = True if before[field] is False else ["a"]
    changed = api.request(method, url, json={field: value}).json()["data"]
    assert changed[field] == value
    assert api.get(url).json()["data"][field] == value
    assert api.request(method, url, json={field: 7}).status_code == 400
    if owner:
        assert api.get(f"{V3}/{path.format(UNKNOWN)}/").status_code == 404


def test_first_resource_of_a_kind_is_announced_in_the_log(
    make_local_dbt_cloud: MakeLocalDbtCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    with http_client(make_local_dbt_cloud()) as api:
        workspace = new_workspace(api)
        workspace.make("group")
        workspace.make("group")
    assert capfd.readouterr().err.count("groups: stored, without effect here") == 1
