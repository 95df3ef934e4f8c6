"""Environment variables reach dbt; the value of the most specific scope wins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD
from tests.contract.conftest import http_client

pytestmark = pytest.mark.slow

PROJECT, PRODUCTION = 36467, 29118
VARIABLES = f"v3/accounts/{ACCOUNT_ID}/projects/{PROJECT}/environment-variables"
NAME = "DBT_SHOP"
SHOW_RUN = 'select \'run {{ env_var("DBT_CLOUD_RUN_ID") }} of {{ env_var("DBT_CLOUD_JOB_ID") }}\''


@pytest.fixture(autouse=True)
def clean(api: httpx.Client) -> Iterator[None]:
    """Delete the test's variables, which other tests' runs would see."""
    yield
    for name in api.get(f"{VARIABLES}/environment").json()["data"]["variables"]:
        api.request("DELETE", f"{VARIABLES}/bulk", json={"name": name})


def variable(kind: str, value: str, **owner: int) -> dict[str, Any]:
    return {"id": None, "name": NAME, "type": kind, "raw_value": value, **owner}


def seen_by_job(api: httpx.Client) -> Any:
    response = api.get(f"{VARIABLES}/job/", params={"job_definition_id": DAILY_BUILD})
    assert response.json()["extra"] == {}
    return response.json()["data"]


def test_job_value_is_created_updated_and_deleted(api: httpx.Client) -> None:
    made = api.post(f"{VARIABLES}/", json=variable("job", "a", job_definition_id=DAILY_BUILD))
    assert made.status_code == 201
    data = made.json()["data"]
    assert (data["name"], data["type"], data["display_value"]) == (NAME, "job", "a")
    assert (data["project_id"], data["job_definition_id"]) == (PROJECT, DAILY_BUILD)
    one = f"{VARIABLES}/{data['id']}/"
    body = variable("job", "b", job_definition_id=DAILY_BUILD)
    assert api.post(one, json=body).json()["data"]["display_value"] == "b"
    assert seen_by_job(api) == {NAME: {"job": {"id": data["id"], "value": "b"}}}
    assert api.delete(one).json()["data"]["state"] == 2
    assert api.delete(one).status_code == 404
    assert seen_by_job(api) == {}


def test_bulk_endpoint_creates_updates_and_deletes_all_values_of_a_variable(
    api: httpx.Client,
) -> None:
    body = {"env_var": {"new_name": NAME, "project": "all", "Production": "europe"}}
    made = api.post(f"{VARIABLES}/bulk/", json=body)
    assert (made.status_code, len(made.json()["data"]["new_var_ids"])) == (201, 2)
    # The Terraform provider updates below another name than it creates.
    body = {"env_vars": {"name": NAME, "new_name": "DBT_STORE", "project": "none"}}
    assert api.put(f"{VARIABLES}/bulk", json=body).status_code == 200
    table = api.get(f"{VARIABLES}/environment/").json()["data"]
    assert table["environments"][:2] == ["project", "Production"]
    values = {place: cell["value"] for place, cell in table["variables"]["DBT_STORE"].items()}
    assert values == {"project": "none", "Production": "europe"}
    gone = api.request("DELETE", f"{VARIABLES}/bulk/", json={"name": "DBT_STORE"})
    assert gone.status_code == 200
    assert api.get(f"{VARIABLES}/environment").json()["data"]["variables"] == {}


def test_bulk_endpoint_sets_and_deletes_a_value_by_its_id(api: httpx.Client) -> None:
    body = {"env_var": {"new_name": NAME, "project": "all", "Production": "europe"}}
    api.post(f"{VARIABLES}/bulk/", json=body)
    before = api.get(f"{VARIABLES}/environment/").json()["data"]["variables"][NAME]
    ids = {place: str(cell["id"]) for place, cell in before.items()}
    body = {"env_vars": {"name": NAME, ids["project"]: "asia", ids["Production"]: ""}}
    assert api.put(f"{VARIABLES}/bulk/", json=body).status_code == 200
    after = api.get(f"{VARIABLES}/environment/").json()["data"]["variables"][NAME]
    assert {place: cell["value"] for place, cell in after.items()} == {"project": "asia"}


def test_bulk_endpoint_creates_all_variables_or_none(api: httpx.Client) -> None:
    good, bad = {"new_name": NAME, "project": "1"}, {"new_name": "DBT_X", "No such": "2"}
    assert api.post(f"{VARIABLES}/bulk", json={"env_var": [good, bad]}).status_code == 400
    assert api.get(f"{VARIABLES}/environment").json()["data"]["variables"] == {}
    made = api.post(f"{VARIABLES}/bulk", json={"env_var": [good]}).json()["data"]
    assert [(one["key_name"], one["status_code"]) for one in made] == [(NAME, 201)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "SHOP"}, "name"),
        ({"name": "DBT_TARGET_PATH"}, "name"),
        ({"name": "DBT_ENGINE_PROFILES_DIR"}, "name"),
        ({"name": "DBT_A B"}, "name"),
        ({"type": "planet"}, "type"),
        ({"type": "environment", "environment_id": 1}, "environment_id"),
        ({"type": "job"}, "job_definition_id"),
        ({"raw_value": 3}, "raw_value"),
        ({"project_id": 1}, "project_id"),
        ({"account_id": 1}, "account_id"),
    ],
)
def test_invalid_variable_is_400_and_names_the_field(
    api: httpx.Client, body: dict[str, Any], field: str
) -> None:
    response = api.post(VARIABLES, json={**variable("project", "x"), **body})
    assert response.status_code == 400, response.text
    assert list(response.json()["data"]) == [field]


def test_second_value_of_one_scope_is_400(api: httpx.Client) -> None:
    assert api.post(VARIABLES, json=variable("project", "x")).status_code == 201
    assert api.post(VARIABLES, json=variable("project", "y")).status_code == 400


@pytest.mark.parametrize(
    ("query", "code"),
    [("", 400), ("job_definition_id=x", 400), ("job_definition_id=1", 404)],
)
def test_job_values_endpoint_requires_an_existing_job(
    api: httpx.Client, query: str, code: int
) -> None:
    assert api.get(f"{VARIABLES}/job/?{query}").status_code == code


def test_secrets_are_not_shown(api: httpx.Client) -> None:
    body = {**variable("project", "hunter2"), "name": "DBT_ENV_SECRET_KEY"}
    made = api.post(VARIABLES, json=body)
    shown = made.text + api.get(f"{VARIABLES}/environment").text
    assert made.status_code == 201
    assert "hunter2" not in shown


def test_dbt_reads_the_value_of_the_most_specific_scope(
    make_local_dbt_cloud: MakeLocalDbtCloud,
) -> None:
    """dbt sees the value, and no variable redirects its files out of the run's folder."""
    server = make_local_dbt_cloud()
    with http_client(server) as api:
        assert "unset" in shown_by_dbt(server)
        api.post(VARIABLES, json=variable("project", "from-project"))
        assert "from-project" in shown_by_dbt(server)
        api.post(VARIABLES, json=variable("environment", "from-env", environment_id=PRODUCTION))
        assert "from-env" in shown_by_dbt(server)
        api.post(VARIABLES, json=variable("job", "from-job", job_definition_id=DAILY_BUILD))
        assert "from-job" in shown_by_dbt(server)


def test_dbt_gets_the_variables_that_dbt_cloud_sets(local_dbt_cloud: LocalDbtCloud) -> None:
    cause = "A test, with 'quotes' and größe"
    steps = ["dbt parse", f'dbt show --inline "{quoted(SHOW_RUN)}"']
    run_id = local_dbt_cloud.trigger(
        DAILY_BUILD, cause=cause, steps_override=steps, github_pull_request_id=7
    )
    run = local_dbt_cloud.wait(run_id)
    manifest = f"runs/{run_id}/artifacts/manifest.json"
    artifact = local_dbt_cloud.request("GET", manifest, params={"step": 4}).json()

    assert run["is_success"], run["run_steps"][-1]["logs"]
    assert f"run {run_id} of {DAILY_BUILD}" in run["run_steps"][-1]["logs"]
    assert artifact["metadata"]["env"] == {
        "DBT_CLOUD_ACCOUNT_ID": f"{ACCOUNT_ID}",
        "DBT_CLOUD_PROJECT_ID": f"{PROJECT}",
        "DBT_CLOUD_ENVIRONMENT_ID": f"{PRODUCTION}",
        "DBT_CLOUD_ENVIRONMENT_NAME": "Production",
        "DBT_CLOUD_ENVIRONMENT_TYPE": "deployment",
        "DBT_CLOUD_INVOCATION_CONTEXT": "ci",
        "DBT_CLOUD_JOB_ID": f"{DAILY_BUILD}",
        "DBT_CLOUD_RUN_ID": f"{run_id}",
        "DBT_CLOUD_RUN_REASON": cause,
        "DBT_CLOUD_RUN_REASON_CATEGORY": "api",
        "DBT_CLOUD_PR_ID": "7",
        **({"DBT_CLOUD_GIT_SHA": run["git_sha"]} if run["git_sha"] else {}),
    }


def test_artifacts_have_the_variables_of_their_own_run(local_dbt_cloud: LocalDbtCloud) -> None:
    """Dagster finds the run of a ``run_results.json`` by them."""
    for _ in range(2):
        run_id = local_dbt_cloud.trigger(
            DAILY_BUILD, steps_override=["dbt show --inline 'select 1'"]
        )
        assert local_dbt_cloud.wait(run_id)["is_success"]
        path = f"runs/{run_id}/artifacts/run_results.json"
        results = local_dbt_cloud.request("GET", path).json()
        assert results["metadata"]["env"]["DBT_CLOUD_RUN_ID"] == f"{run_id}"


def shown_by_dbt(server: LocalDbtCloud) -> str:
    """Return the log of a dbt command that prints the variable."""
    sql = f'select \'{{{{ env_var("{NAME}", "unset") }}}}\' as shop'
    run = server.wait(
        server.trigger(DAILY_BUILD, steps_override=[f'dbt show --inline "{quoted(sql)}"'])
    )
    assert run["is_success"], run["run_steps"][-1]["logs"]
    logs: str = run["run_steps"][-1]["logs"]
    return logs


def quoted(text: str) -> str:
    return text.replace('"', '\\"')
