"""Tests of the advice for exceptions of a wrong connection or job."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import certifi
import pytest
import requests
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.http.hooks.http import HttpHook

from include.dbt_cloud.api.advice import (
    BY_STATUS,
    MALFORMED_TOKEN,
    NOT_REACHED,
    NOT_TRUSTED,
    advice,
    is_refused,
    no_connection,
)
from include.dbt_cloud.api.client import DbtCloudClient
from include.local_airflow.run.dag_process import redacted_first_line
from include.local_dbt_cloud.testing import LocalDbtCloud

Call = Callable[[], object]


def by_provider() -> None:
    DbtCloudHook().trigger_job_run(job_id=1, cause="a test")


def by_our_client() -> None:
    client = DbtCloudClient(DbtCloudHook(), None)
    client.post("jobs/1/run/", {"cause": "a test"})


def bad_request_by_provider() -> None:
    DbtCloudHook().trigger_job_run(job_id=65767, cause="a test", schema_override=["no text"])


def bad_request_by_our_client() -> None:
    DbtCloudClient(DbtCloudHook(), None).post("jobs/65767/run/", {"cause": ["no text"]})


def exception_of(call: Call) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - of the libraries
        call()
    return raised.value


@pytest.mark.parametrize("call", [by_provider, by_our_client])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, BY_STATUS[404]),
        ({"login": "7"}, BY_STATUS[403]),
        ({"password": "wrong"}, BY_STATUS[401]),
        ({"password": "secret\n"}, MALFORMED_TOKEN),
        ({"host": "localhost:1"}, NOT_REACHED),
    ],
)
def test_advice_matches_each_dbt_cloud_error(
    call: Call,
    change: dict[str, str],
    sentence: str,
    local_dbt_cloud: LocalDbtCloud,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = json.loads(local_dbt_cloud.connection) | change
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", json.dumps(connection))

    error = exception_of(call)

    assert advice(error) == sentence
    assert is_refused(error) is (sentence in BY_STATUS.values())
    assert "secret" not in redacted_first_line(error)


@pytest.mark.parametrize("call", [bad_request_by_provider, bad_request_by_our_client])
def test_advice_names_the_job_id_for_a_bad_request(
    call: Call, dbt_cloud_connection: LocalDbtCloud
) -> None:
    error = exception_of(call)

    assert advice(error) == BY_STATUS[400]
    assert is_refused(error)


@pytest.mark.parametrize("call", [by_provider, by_our_client])
def test_advice_recognises_an_untrusted_certificate(
    call: Call, dbt_cloud_connection: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())

    assert advice(exception_of(call)) == NOT_TRUSTED


def test_advice_names_an_undefined_connection() -> None:
    error = exception_of(lambda: DbtCloudHook("missing").get_conn())

    assert advice(error) == no_connection("missing")
    assert "AIRFLOW_CONN_MISSING" in advice(error)


def test_advice_is_empty_for_errors_of_other_services(
    local_dbt_cloud: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_service() -> Any:
        return HttpHook("GET", "other").run("nothing")

    other = {"conn_type": "https", "host": local_dbt_cloud.url}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(other))

    error = exception_of(other_service)
    assert str(error).startswith("401")
    assert advice(error) == ""
    assert advice(exception_of(lambda: requests.get("https://localhost:1", timeout=5))) == ""
    assert advice("a string") == ""
