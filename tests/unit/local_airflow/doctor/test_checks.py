"""The doctor's checks of the local dbt Cloud, over real TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import certifi
import pytest
from airflow.sdk import Connection

from include.dbt_cloud.api.advice import (
    BY_STATUS,
    NOT_REACHED,
    NOT_TRUSTED,
)
from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.checks import examine
from include.local_airflow.doctor.connections import ResolvedConnection
from include.local_airflow.doctor.job_tasks import JobTask
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.webhook_receiver import WebhookReceiver

JANUARY = "0 0 1 1 *"  # on, but not due during the tests


def task(job_id: int | None = DAILY_BUILD, account_id: int | None = None) -> JobTask:
    return JobTask("a_dag", "a_task", "a_dag.py", "dbt_cloud_default", job_id, account_id)


def findings(server: LocalDbtCloud, *tasks: JobTask, **change: str | int) -> list[Finding]:
    return list(examine(found(server, **change), list(tasks)))


def found(server: LocalDbtCloud, **change: str | int) -> ResolvedConnection:
    connection = Connection(conn_id="dbt_cloud_default", **(json.loads(server.connection) | change))
    return ResolvedConnection(connection, "a test")


@pytest.fixture
def scheduled_job(local_dbt_cloud: LocalDbtCloud) -> Iterator[int]:
    job = local_dbt_cloud.get(f"jobs/{DAILY_BUILD}/")
    job |= {"name": "By itself", "triggers": {"schedule": True}, "schedule": {"cron": JANUARY}}
    made = local_dbt_cloud.request("POST", "jobs/", json=job).json()["data"]["id"]
    yield made
    local_dbt_cloud.request("DELETE", f"jobs/{made}/")


def test_examine_accepts_a_valid_connection_and_job(local_dbt_cloud: LocalDbtCloud) -> None:
    reported = findings(local_dbt_cloud, task(), task(job_id=None))

    assert [finding.advice for finding in reported] == [""] * 5
    assert reported[0].text.startswith(
        "The connection dbt_cloud_default comes from a test: localhost:"
    )
    assert "the triggerer reach" in reported[1].text
    assert "jobs and runs of account 16173, Jaffle shop" in reported[2].text
    assert (
        reported[3].text == "a_dag.a_task: job 65767 is 'Daily build' in 'Production', dbt build."
    )
    assert "not checked, because the job id is set at run time" in reported[4].text
    assert local_dbt_cloud.token not in str(reported)


@pytest.mark.parametrize(
    ("change", "text", "advice"),
    [
        ({"host": "localhost:1"}, "localhost:1 does not respond: Connection refused.", NOT_REACHED),
        ({"host": "no.such.host.invalid"}, "Failed to resolve 'no.such.host.invalid'", NOT_REACHED),
        ({"password": "wrong"}, "rejected the token", BY_STATUS[401]),
        ({"login": "7"}, "not valid for account 7", "It is valid for 16173 (Jaffle shop): set"),
        ({"password": ""}, "cannot be used", "It has no password"),
        ({"password": "secret\n"}, "cannot be used", "Its password has a blank, a line break"),
        (
            {"host": "localhost", "port": 1},
            "cannot be used",
            'use JSON and set "host": "localhost:1"',
        ),
        ({"host": "ab.us1.dbt.com "}, "cannot be used", "Its host has a blank"),
        ({"login": "jaffle"}, "cannot be used", "Its login is not an account id"),
        (
            {"extra": '{"proxies": "http://proxy"}'},
            "cannot be used",
            "The proxies in its extra are not",
        ),
        ({"host": "https://ab.us1.dbt.com"}, "cannot be used", "Its host starts with https://"),
    ],
)
def test_examine_stops_at_an_invalid_connection_with_advice(
    change: dict[str, str | int], text: str, advice: str, local_dbt_cloud: LocalDbtCloud
) -> None:
    last = findings(local_dbt_cloud, task(), **change)[-1]

    assert text in last.text
    assert advice in last.advice


def test_examine_reports_an_untrusted_certificate(
    local_dbt_cloud: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())

    last = findings(local_dbt_cloud)[-1]

    assert "unable to get local issuer certificate" in last.text
    assert last.advice == NOT_TRUSTED


def test_examine_reports_a_host_without_tls(local_dbt_cloud: LocalDbtCloud) -> None:
    with WebhookReceiver() as plain:
        host = urlsplit(plain.url).netloc
        last = findings(local_dbt_cloud, host=host)[-1]

    assert last == Finding(f"{host} does not respond: wrong version number.", NOT_REACHED)


def test_examine_reports_a_missing_ca_bundle(
    local_dbt_cloud: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")

    last = findings(local_dbt_cloud)[-1]

    assert "was not checked" in last.text
    assert "/no/such.pem" in last.text
    assert last.advice == "Correct REQUESTS_CA_BUNDLE."


def test_examine_advises_to_try_later_when_dbt_cloud_returns_503(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    fault = {"kind": "503", "method": "GET", "path": "*/accounts/16173"}
    assert local_dbt_cloud.request("POST", "/faults", json=fault).status_code == 201

    last = findings(local_dbt_cloud, task())[-1]

    assert last.text.endswith("returned 503.")
    assert last.advice.startswith("Try again later")


def test_examine_lists_the_jobs_for_an_id_that_cannot_be_one(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    placeholder = replace(task(job_id=None), wrong_id="'<your dbt Cloud job id>'")

    last = findings(local_dbt_cloud, placeholder)[-1]

    assert last.text == "a_dag.a_task: '<your dbt Cloud job id>' is not a job id."
    assert last.advice.startswith("Set JOB_ID in a_dag.py to one of these: ")
    assert "65767 (Daily build)" in last.advice


def test_examine_accepts_a_connection_without_a_login_if_tasks_name_accounts(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    first, *_, job = findings(local_dbt_cloud, task(account_id=16173), login="")

    assert first.text.endswith("account named by its tasks.")
    assert "job 65767 is" in job.text
    assert "cannot be used" in findings(local_dbt_cloud, task(), login="")[-1].text


def test_examine_reports_a_missing_job_and_lists_existing_ones(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    first, second = findings(local_dbt_cloud, task(job_id=1), task(job_id=2))[-2:]

    assert "job 1 does not exist in account 16173" in first.text
    assert "Set JOB_ID in a_dag.py to one of these: " in first.advice
    assert "65767 (Daily build)" in first.advice
    assert second.advice == "Set JOB_ID in a_dag.py to one of the jobs listed above."


def test_examine_folds_the_ids_of_example_jobs_that_the_account_lacks(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    unchanged = [replace(task(job_id=number), dag_id=f"dag_{number}") for number in (1, 2)]

    def folded(*tasks: JobTask) -> list[Finding]:
        return list(examine(found(local_dbt_cloud), list(tasks), examples={1, 2, DAILY_BUILD}))[3:]

    [only] = folded(*unchanged)
    assert only.text == "2 Dags still have the job ids of this repository: dag_1, dag_2."
    assert only.advice.startswith("In the Dags that you use, set JOB_ID to one of these: ")
    job, note = folded(*unchanged, task())
    assert "job 65767 is" in job.text  # an example's id that exists in the account
    assert (note.text, note.advice, note.is_note) == (only.text, "", True)


def test_examine_reports_a_job_whose_own_schedule_is_on(
    local_dbt_cloud: LocalDbtCloud, scheduled_job: int
) -> None:
    last = findings(local_dbt_cloud, task(job_id=scheduled_job))[-1]

    assert "its own schedule is on: " in last.text
    page = f"{local_dbt_cloud.url}/deploy/16173/projects/36467/jobs/{scheduled_job}"
    assert page in last.advice
    waits = replace(task(job_id=scheduled_job), starts=False)
    assert not findings(local_dbt_cloud, waits)[-1].advice


def test_examine_checks_the_account_that_a_task_names(local_dbt_cloud: LocalDbtCloud) -> None:
    *_, account, other, job = findings(local_dbt_cloud, task(account_id=16174), task())

    assert "runs of account 16173" in account.text
    assert other.text == "The token is not valid for account 16174."
    assert job.text.startswith("a_dag.a_task: job 65767 is")
