"""Jobs: read through Airflow's hook, changed over HTTP as other clients do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD
from tests.contract.conftest import http_client

JOBS = f"v2/accounts/{ACCOUNT_ID}/jobs"
JOB: dict[str, Any] = {
    "account_id": ACCOUNT_ID,
    "project_id": 36467,
    "environment_id": 29118,
    "name": "Temporary",
    "execute_steps": ["dbt build"],
}

# CONTRACT.md, section 3.4: clients that reject unknown keys read exactly these.
WIRE = (
    "id account_id project_id environment_id name description dbt_version raw_dbt_version "
    "execute_steps execution settings triggers schedule generate_docs run_generate_sources "
    "generate_sources run_compare_changes compare_changes_flags run_lint errors_on_lint_failure "
    "cost_optimization_features deferring_job_definition_id deferring_environment_id state "
    "deactivated deactivation_reason run_failure_count lifecycle_webhooks "
    "lifecycle_webhooks_url is_deferrable is_system job_type triggers_on_draft_pr "
    "job_completion_trigger_condition cron_humanized next_run next_run_humanized created_at "
    "updated_at account project environment most_recent_run most_recent_completed_run "
    "fusion_readiness force_node_selection is_fusion_ready_override "
    "custom_environment_variables"
)
KEYS = set(WIRE.split())
HOURLY, DAILY = {"type": "every_hour", "interval": 6}, {"type": "every_day", "days": None}
EXACT = {"type": "at_exact_hours", "hours": [9, 17]}
TWO_DAYS = {"type": "days_of_week", "days": [1, 5]}
COMPLETION = "job_completion_trigger_condition"
CUSTOM = {"type": "custom_cron", "cron": "5 4 * * 0"}


@pytest.fixture
def job(api: httpx.Client) -> Iterator[dict[str, Any]]:
    """Yield a new job."""
    made = api.post(f"{JOBS}/", json=JOB)
    yield made.json()["data"]
    api.delete(f"{JOBS}/{made.json()['data']['id']}")


def test_the_hook_lists_jobs(dbt_cloud_connection: LocalDbtCloud) -> None:
    hook = DbtCloudHook()
    pages = hook.list_jobs(project_id=36467, environment_id=29118, name_contains="daily BUILD")
    assert [job["id"] for page in pages for job in page.json()["data"]] == [DAILY_BUILD]
    assert hook.get_job(DAILY_BUILD).json()["data"]["name"] == "Daily build"
    names = {"project_name": "Jaffle shop", "environment_name": "Production"}
    assert hook.get_job_by_name(**names, job_name="Daily build")["id"] == DAILY_BUILD


def test_job_has_exactly_the_keys_of_the_contract(api: httpx.Client, job: dict[str, Any]) -> None:
    assert set(job) == KEYS
    assert set(api.get(f"{JOBS}/{DAILY_BUILD}").json()["data"]) == KEYS
    assert all(set(one) == KEYS for one in api.get(JOBS).json()["data"])


def test_created_job_has_defaults_for_omitted_fields(job: dict[str, Any]) -> None:
    assert job["settings"] == {"threads": 1, "target_name": "default"}
    assert job["execution"] == {"timeout_seconds": 0}
    assert set(job["triggers"].values()) == {False}
    assert job["compare_changes_flags"] == "--select state:modified"
    assert (job["description"], job["dbt_version"], job["state"]) == ("", None, 1)
    assert (job["errors_on_lint_failure"], job["generate_docs"]) == (True, False)
    assert job["schedule"]["cron"] == "0 * * * *"


def test_job_update_stores_settings_that_have_no_effect(
    api: httpx.Client, job: dict[str, Any]
) -> None:
    recorded = {
        "run_lint": True,
        "triggers_on_draft_pr": True,
        "lifecycle_webhooks": True,
        "lifecycle_webhooks_url": "https://example.com/hook",
    }
    changed = api.post(f"{JOBS}/{job['id']}", json={**JOB, **recorded}).json()["data"]
    assert changed | recorded == changed


@pytest.mark.parametrize(
    ("features", "flag", "stored"),
    [
        (None, None, ([], True)),
        (None, True, ([], True)),
        (None, False, (["state_aware_orchestration"], False)),
        ([], False, ([], True)),  # the list wins
        (["state_aware_orchestration"], True, (["state_aware_orchestration"], False)),
        (["efficient_testing"], None, (["efficient_testing"], True)),
        (["dbt_state", "efficient_testing"], None, (["dbt_state"], False)),
    ],
)
def test_job_has_list_and_flag_of_its_cost_optimization(
    api: httpx.Client, job: dict[str, Any], features: Any, flag: Any, stored: Any
) -> None:
    body = {**JOB, "cost_optimization_features": features, "force_node_selection": flag}
    changed = api.post(f"{JOBS}/{job['id']}", json=body).json()["data"]
    assert (changed["cost_optimization_features"], changed["force_node_selection"]) == stored


@pytest.mark.parametrize("without", ["account_id", "execute_steps"])
def test_job_creation_needs_neither_account_nor_commands(api: httpx.Client, without: str) -> None:
    """Prefect sends no account, Dagster no commands."""
    made = api.post(JOBS, json={name: value for name, value in JOB.items() if name != without})
    assert made.status_code == 201, made.text
    data = made.json()["data"]
    assert (data["account_id"], data["execute_steps"]) == (
        ACCOUNT_ID,
        [] if without == "execute_steps" else JOB["execute_steps"],
    )
    api.delete(f"{JOBS}/{data['id']}")


def test_job_creation_ignores_nulls_ids_and_unknown_keys(
    api: httpx.Client, job: dict[str, Any]
) -> None:
    """One client posts null for omitted fields, another posts a whole job."""
    nulls = {**dict.fromkeys(KEYS - JOB.keys()), **JOB, "no_such_key": {"a": [1]}}
    for body in (nulls, {**job, "name": "Clone"}):
        clone = api.post(JOBS, json=body)
        assert clone.status_code == 201, clone.text
        assert clone.json()["data"]["id"] != job["id"]
        api.delete(f"{JOBS}/{clone.json()['data']['id']}")


def test_job_creation_accepts_a_form(api: httpx.Client) -> None:
    made = api.post(JOBS, data={**JOB, "generate_docs": "true"})
    assert made.status_code == 201, made.text
    assert made.json()["data"]["generate_docs"] is True
    api.delete(f"{JOBS}/{made.json()['data']['id']}")


def test_an_update_replaces_the_job(api: httpx.Client, job: dict[str, Any]) -> None:
    body = {**JOB, "name": "Changed", "generate_docs": True, "settings": {"threads": 8}}
    changed = api.post(f"{JOBS}/{job['id']}/", json=body).json()["data"]
    assert (changed["name"], changed["generate_docs"]) == ("Changed", True)
    assert changed["settings"] == {"threads": 8, "target_name": "default"}
    assert changed == api.get(f"{JOBS}/{job['id']}").json()["data"]
    assert api.post(f"{JOBS}/{job['id']}", json=JOB).json()["data"]["generate_docs"] is False


@pytest.mark.parametrize("how", ["delete", "state"])
def test_deleted_job_is_404_but_listed_by_state(
    api: httpx.Client, job: dict[str, Any], how: str
) -> None:
    one = f"{JOBS}/{job['id']}"
    gone = api.delete(one) if how == "delete" else api.post(one, json={**JOB, "state": 2})
    assert gone.status_code == gone.json()["status"]["code"] == 200
    assert (gone.json()["data"]["state"], gone.json()["data"]["deactivated"]) == (2, True)
    assert api.get(one).status_code == 404
    assert api.post(f"{one}/run/", json={"cause": "test"}).status_code == 404
    assert job["id"] not in ids(api.get(JOBS))
    assert job["id"] in ids(api.get(f"{JOBS}?state=2&order_by=-id"))
    assert job["id"] in ids(api.get(f"{JOBS}?state=all&order_by=-id"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account_id": 1}, "account_id"),
        ({"project_id": 1}, "project_id"),
        ({"environment_id": 1}, "environment_id"),
        ({"name": ""}, "name"),
        ({"execute_steps": ["echo no"]}, "execute_steps"),
        ({"execute_steps": "dbt build"}, "execute_steps"),
        ({"execution": {"timeout_seconds": -1}}, "execution"),
        ({"settings": {"threads": "4"}}, "settings"),
        ({"triggers": {"schedule": "yes"}}, "triggers"),
        ({"job_type": "nightly"}, "job_type"),
        ({"deferring_environment_id": 1}, "deferring_environment_id"),
        ({"deferring_job_definition_id": 1}, "deferring_job_definition_id"),
        (
            {"deferring_job_definition_id": DAILY_BUILD, "deferring_environment_id": 29118},
            "deferring_environment_id",
        ),
        ({"schedule": {"cron": "now and then"}}, "schedule"),
        ({"schedule": {"time": {"type": "sometimes"}}}, "schedule"),
        (
            {"job_completion_trigger_condition": {"condition": {}}},
            "job_completion_trigger_condition",
        ),
    ],
)
def test_invalid_job_is_400_and_names_the_field(
    api: httpx.Client, change: dict[str, Any], field: str
) -> None:
    response = api.post(JOBS, json={**JOB, **change})
    assert response.status_code == 400, response.text
    assert list(response.json()["data"]) == [field]


@pytest.mark.parametrize(
    ("triggers", "posted", "job_type"),
    [
        ({}, None, "other"),
        ({"schedule": True}, None, "scheduled"),
        ({"github_webhook": True, "schedule": True}, None, "ci"),
        ({"git_provider_webhook": True}, None, "ci"),
        ({"on_merge": True, "github_webhook": True}, None, "merge"),
        ({"schedule": True}, "adaptive", "adaptive"),
    ],
)
def test_job_type_follows_the_triggers_unless_it_is_posted(
    api: httpx.Client,
    job: dict[str, Any],
    triggers: dict[str, bool],
    posted: str | None,
    job_type: str,
) -> None:
    # A year from now at the earliest, so that no schedule starts a run in these tests.
    schedule = {"cron": "0 0 29 2 *", "date": {"type": "custom_cron", "cron": "0 0 29 2 *"}}
    body = {**JOB, "triggers": triggers, "job_type": posted, "schedule": schedule}
    changed = api.post(f"{JOBS}/{job['id']}", json=body).json()["data"]
    assert changed["job_type"] == job_type


@pytest.mark.parametrize(
    ("schedule", "cron"),
    [
        ({"date": DAILY, "time": HOURLY}, "0 */6 * * *"),
        ({"cron": "", "date": TWO_DAYS, "time": EXACT}, "0 9,17 * * 1,5"),
        ({"date": CUSTOM, "time": HOURLY}, "5 4 * * 0"),
        ({"cron": "1 2 3 * *", "date": DAILY, "time": HOURLY, "more": 1}, "1 2 3 * *"),
    ],
)
def test_a_schedule_is_echoed_with_its_cron(
    api: httpx.Client, job: dict[str, Any], schedule: dict[str, Any], cron: str
) -> None:
    changed = api.post(f"{JOBS}/{job['id']}", json={**JOB, "schedule": schedule}).json()["data"]
    assert changed["schedule"] == {**schedule, "cron": cron}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("triggers_schedule=false", True),
        ("triggers_schedule=true", False),
        ("is_system=false", True),
        ("is_system=true", False),
        ("environment_id=29118", True),
        ("environment_id=1", False),
        ("project_id__in=[1, 36467]", True),
        ("project_id__in=1&project_id__in=2", False),
        ("name__icontains=DAILY%20b", True),
        ("name__icontains=%25", False),
        ("dbt_version__in=1.11", False),
        (f"pk={DAILY_BUILD}", True),
        (f"pk={DAILY_BUILD - 1}", False),
        ("status_in=1&trigger_id=7", True),
    ],
)
def test_jobs_list_applies_its_filters(api: httpx.Client, query: str, found: bool) -> None:
    assert (DAILY_BUILD in ids(api.get(f"{JOBS}/?{query}"))) is found


@pytest.mark.parametrize("query", ["is_system=perhaps", "pk=x", "limit=0", "offset=-1", "state=3"])
def test_jobs_list_rejects_invalid_filters(api: httpx.Client, query: str) -> None:
    response = api.get(f"{JOBS}/?{query}")
    assert response.status_code == 400
    assert list(response.json()["data"]) == [query.partition("=")[0]]


def test_job_embeds_requested_related_objects(
    api: httpx.Client, job: dict[str, Any], local_dbt_cloud: LocalDbtCloud
) -> None:
    first = local_dbt_cloud.trigger(job["id"], steps_override=["dbt deps"])
    local_dbt_cloud.wait(first)
    second = local_dbt_cloud.trigger(job["id"], steps_override=["dbt deps"])
    related = ["environment", "most_recent_run", "most_recent_completed_run"]
    local_dbt_cloud.wait(second)
    embedded = api.get(f"{JOBS}/{job['id']}", params={"include_related": related}).json()["data"]
    assert embedded["environment"]["name"] == "Production"
    assert embedded["most_recent_run"]["id"] == second
    assert embedded["most_recent_completed_run"]["status"] in (10, 20, 30)
    assert set(embedded) == KEYS


def test_the_job_inside_a_run_has_a_flat_schedule(
    job: dict[str, Any], local_dbt_cloud: LocalDbtCloud
) -> None:
    run_id = local_dbt_cloud.trigger(job["id"], steps_override=["dbt deps"])
    inside = local_dbt_cloud.get(f"runs/{run_id}", include_related="job")["job"]
    assert (inside["id"], inside["execute_steps"]) == (job["id"], ["dbt build"])
    assert inside["schedule"] == {"cron": "0 * * * *", "date": "every_day", "time": "every_hour"}


def test_job_changes_survive_a_restart(make_local_dbt_cloud: MakeLocalDbtCloud) -> None:
    server = make_local_dbt_cloud()
    with http_client(server) as api:
        made = api.post(JOBS, json=JOB).json()["data"]
        api.post(f"{JOBS}/{DAILY_BUILD}", json={**JOB, "name": "Changed"})
        deleted = next(one for one in ids(api.get(JOBS)) if one not in (DAILY_BUILD, made["id"]))
        api.delete(f"{JOBS}/{deleted}")
    server.end()
    server.start()
    with http_client(server) as api:
        assert api.get(f"{JOBS}/{made['id']}").json()["data"] == made
        assert api.get(f"{JOBS}/{DAILY_BUILD}").json()["data"]["name"] == "Changed"
        assert api.get(f"{JOBS}/{deleted}").status_code == 404


def ids(response: httpx.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["data"]]


def test_field_without_effect_is_announced_once(
    make_local_dbt_cloud: MakeLocalDbtCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = {"run_lint": False, "errors_on_lint_failure": True, "force_node_selection": None}
    linting = {"run_lint": True, "triggers": {"github_webhook": True}}
    with http_client(make_local_dbt_cloud()) as api:
        for more in (plain, linting, linting):
            assert api.post(f"{JOBS}/", json=JOB | more).status_code == 201

    printed = capfd.readouterr().err
    announced = [line for line in printed.splitlines() if "without effect here" in line]
    assert sorted(line.split()[1] for line in announced) == ["github_webhook:", "run_lint:"]
