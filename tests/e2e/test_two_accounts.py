"""Two accounts in one Airflow, on two hosts, whose jobs and runs have the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.sdk import Asset

from include.dbt_cloud.events import account_runs
from include.dbt_cloud.events.signature import sign
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from include.local_dbt_cloud.serving.subscription import RECEIVER_PATH
from include.local_dbt_cloud.testing import LocalDbtCloud, share_authority
from tests.bundled import DAILY_BUILD
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.variants import change_file, write_variant
from tests.e2e.watching import begin_to_watch, event_counts
from tests.e2e.webhooks import Sender, events_of
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="second-account")]

KEEP, KEEP_EU = "keep_dbt_cloud_history", "keep_dbt_cloud_history_eu"
EU, EU_ACCOUNT = "dbt_cloud_eu", 20042
ASSETS = account_runs(), account_runs(EU)
QUICK = ["dbt deps"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Start a copy with the Dag that keeps runs, once for each account."""
    project = Project.copy_to(tmp_path_factory.mktemp("two_accounts"))
    for file in (project.root / "dags").glob("*.py"):
        if file.stem != KEEP:
            file.unlink()
    write_variant(project, KEEP, KEEP_EU, {DBT_CLOUD.conn_id: EU})
    plugin = project.root / "plugins" / "show_dbt_cloud.py"
    change_file(plugin, {f'["{DBT_CLOUD.conn_id}"]': f'["{DBT_CLOUD.conn_id}", "{EU}"]'})
    with project.started():
        yield project


@pytest.fixture(scope="module")
def airflow(project: Project) -> Airflow:
    return Airflow(project.port)


@pytest.fixture(scope="module")
def europe(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDbtCloud]:
    """Start the second account's dbt Cloud, with the same jobs and authority."""
    data = tmp_path_factory.mktemp("europe") / "data"
    share_authority(project.root / "include" / ".local", data)
    jobs = data / "jobs.yaml"
    jobs.write_text((project.root / "include" / "local_dbt_cloud" / "jobs.yaml").read_text())
    change_file(jobs, {f"id: {DBT_CLOUD.login}\n": f"id: {EU_ACCOUNT}\n"})
    with LocalDbtCloud(data, ("--jobs", str(jobs))) as server:
        yield server


@pytest.fixture(scope="module")
def secret(airflow: Airflow, project: Project, europe: LocalDbtCloud) -> str:
    """Connect the second account with the secret of its webhook, and return that."""
    subscription = {
        "name": "Airflow",
        "description": "",
        "client_url": f"http://127.0.0.1:{project.port}{RECEIVER_PATH}",
        "event_types": ["job.run.completed"],
        "job_ids": [],
        "active": True,
    }
    path = f"/api/v3/accounts/{EU_ACCOUNT}/webhooks/subscriptions"
    made = europe.request("POST", path, json=subscription).json()["data"]
    extra = json.dumps({"webhook_secret": made["hmac_secret"]})
    airflow.call("POST", "/connections", connection_id=EU, **fields_of(europe), extra=extra)
    return str(made["hmac_secret"])


@pytest.fixture(scope="module")
def run_id(airflow: Airflow, project: Project, europe: LocalDbtCloud, secret: str) -> int:
    """Return the id of a run of each account, which Airflow did not start."""
    for dag_id, asset in zip((KEEP, KEEP_EU), ASSETS, strict=True):
        begin_to_watch(airflow, dag_id, asset)
    path, body = f"/jobs/{DAILY_BUILD}/run/", {"cause": "Scheduled", "steps_override": QUICK}
    ours = project.dbt_cloud.post(path, json=body).raise_for_status().json()["data"]["id"]
    theirs = europe.trigger(DAILY_BUILD, steps_override=QUICK)
    assert ours == theirs
    for asset in ASSETS:
        eventually(partial(has_event, airflow, asset, ours), f"{asset.uri} has an event")
    return int(ours)


def has_event(airflow: Airflow, asset: Asset, run_id: int) -> bool:
    return event_counts(airflow, asset)[run_id] > 0


def fields_of(server: LocalDbtCloud) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(server.connection)
    return fields


def kept(project: Project, host: str, account_id: int, run_id: int) -> dict[str, Any] | None:
    history = project.root / "include" / ".local" / "history" / host.replace(":", "_")
    file: Path = history / f"{account_id}" / f"{DAILY_BUILD}" / f"{run_id}.json"
    content: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return content


def get_page(project: Project, path: str = "") -> httpx.Response:
    address = f"http://127.0.0.1:{project.port}/dbt-cloud-page/{path}"
    return httpx.get(address, trust_env=False, timeout=60)


def test_run_of_each_account_has_one_event_and_is_kept_by_its_own_dag(
    airflow: Airflow, project: Project, europe: LocalDbtCloud, run_id: int
) -> None:
    ours = f"localhost:{project.dbt_cloud_port}", int(DBT_CLOUD.login)
    theirs = europe.host, EU_ACCOUNT

    for (host, account_id), asset in zip((ours, theirs), ASSETS, strict=True):
        stored = eventually(
            partial(kept, project, host, account_id, run_id), f"the run of {account_id} is kept"
        )
        assert stored["run"]["href"].startswith(f"https://{host}/deploy/{account_id}/")
        (event,) = events_of(airflow, asset)
        extra = event["extra"]["dbt_cloud_run"]
        assert (extra["run_id"], extra["host"]) == (run_id, host)
        assert extra["account_id"] == account_id


def test_webhook_with_the_secret_of_the_other_account_is_refused(
    airflow: Airflow, project: Project, europe: LocalDbtCloud, secret: str, run_id: int
) -> None:
    with Sender(project) as sender:
        ours, theirs = (sender.finished(run_id + 9, DAILY_BUILD, x) for x in (16173, EU_ACCOUNT))
        crossed = sender.send(ours, sign(secret, ours)), sender.send(theirs)
        repeated = sender.finished(run_id, DAILY_BUILD, account=EU_ACCOUNT)
        again = sender.send(repeated, sign(secret, repeated))

    assert [answer.status_code for answer in crossed] == [403, 403]
    assert f"{EU} (account {EU_ACCOUNT} on {europe.host})" in crossed[0].text
    assert again.json()["detail"].endswith(": 0 new asset events, 1 already existed.")
    assert [event_counts(airflow, asset)[run_id + 9] for asset in ASSETS] == [0, 0]
    assert secret not in json.dumps(airflow.call("GET", f"/connections/{EU}"))


def test_page_shows_both_accounts_and_asks_which_one_for_a_shared_id(
    project: Project, europe: LocalDbtCloud, run_id: int
) -> None:
    overview = get_page(project).text
    theirs = get_page(project, f"jobs/{DAILY_BUILD}?connection={EU}").text
    ambiguous = get_page(project, f"jobs/{DAILY_BUILD}")

    for account in (f"{DBT_CLOUD.login} on localhost:", f"{EU_ACCOUNT} on {europe.host}"):
        assert f"<h2>Account {account}" in overview
    assert f'href="./jobs/{DAILY_BUILD}?connection={EU}"' in overview
    path = f"projects/36467/runs/{run_id}/"
    assert f'href="{europe.url}/deploy/{EU_ACCOUNT}/{path}"' in theirs
    assert f"localhost:{project.dbt_cloud_port}" not in theirs
    assert ambiguous.status_code == 409
    assert f"Job {DAILY_BUILD} exists in {DBT_CLOUD.conn_id} (account " in ambiguous.text


def test_doctor_checks_the_connection_of_each_account(
    project: Project, europe: LocalDbtCloud, run_id: int
) -> None:
    result = project.launcher("doctor")

    assert result.returncode == 0, result.stdout
    local = f"localhost:{project.dbt_cloud_port}, account {DBT_CLOUD.login}"
    second = f"{europe.host}, account {EU_ACCOUNT}"
    assert f"✓ {DBT_CLOUD.conn_id} ({local}), {EU} ({second})" in result.stdout


def test_wrong_token_of_one_account_is_reported_and_hides_no_other(
    airflow: Airflow, project: Project, europe: LocalDbtCloud, secret: str, run_id: int
) -> None:
    fields = fields_of(europe) | {"extra": json.dumps({"webhook_secret": secret})}
    path = f"/connections/{EU}"
    airflow.call("PATCH", path, connection_id=EU, **fields | {"password": "wrong"})
    try:
        overview = eventually(
            lambda: text if "returned 401" in (text := get_page(project).text) else "",
            "the page shows the problem",
        )
        doctor = project.launcher("doctor")
    finally:
        airflow.call("PATCH", path, connection_id=EU, **fields)

    ours, theirs = overview.split(f"<h2>Account {EU_ACCOUNT} on {europe.host}</h2>")
    assert "returned 401" not in ours
    assert "Daily build" in ours
    assert f"jobs/{DAILY_BUILD}?connection={EU}" in theirs  # the stored runs
    assert doctor.returncode == 1
    assert f"✗ {EU}: {europe.host} rejected the token.\n" in doctor.stdout
    assert f"✓ {DBT_CLOUD.conn_id} (localhost:" in doctor.stdout
    assert f"{EU} ({europe.host}" not in doctor.stdout
