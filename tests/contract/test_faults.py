"""Injected faults, as requests, httpx and aiohttp see them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, BUILD_AFTER_LOAD

JOBS = f"/api/v2/accounts/{ACCOUNT_ID}/jobs"
RUN = f"{JOBS}/{BUILD_AFTER_LOAD}/run"
LOST = (requests.ConnectionError, httpx.RemoteProtocolError, aiohttp.ServerDisconnectedError)
CUT = (
    requests.exceptions.ChunkedEncodingError,
    httpx.RemoteProtocolError,
    aiohttp.ClientPayloadError,
)


class Faults:
    """The endpoint ``/faults`` of one server."""

    def __init__(self, server: LocalDbtCloud) -> None:
        self.server = server
        self.headers = {"Authorization": f"Token {server.token}"}

    def add(self, kind: str, **fields: Any) -> None:
        response = self.call("POST", json={"kind": kind, "path": JOBS, **fields})
        assert response.status_code == 201, response.text

    def call(self, method: str, **options: Any) -> requests.Response:
        options = {"headers": self.headers, "timeout": 30, **options}
        return requests.request(method, f"{self.server.url}/faults", **options)

    def get_jobs(self) -> requests.Response:
        return requests.get(f"{self.server.url}{JOBS}/", headers=self.headers, timeout=30)


@pytest.fixture
def faults(local_dbt_cloud: LocalDbtCloud) -> Iterator[Faults]:
    endpoint = Faults(local_dbt_cloud)
    yield endpoint
    endpoint.call("DELETE")


def fetch_with(client: str, server: LocalDbtCloud) -> int:
    """Return the status code of the list of jobs, read to the end; raise the client's errors."""
    url, headers = f"{server.url}{JOBS}/", {"Authorization": f"Token {server.token}"}
    context = ssl.create_default_context(cafile=server.ca_file)

    async def fetch() -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, ssl=context) as response,
        ):
            await response.read()
            return response.status

    if client == "aiohttp":
        return asyncio.run(fetch())
    if client == "httpx":
        return httpx.get(url, headers=headers, verify=context).status_code
    return requests.get(url, headers=headers, timeout=30).status_code


@pytest.mark.parametrize(
    ("client", "lost", "cut"),
    list(zip(("requests", "httpx", "aiohttp"), LOST, CUT, strict=True)),
)
def test_connection_faults_raise_the_clients_own_network_errors(
    faults: Faults, client: str, lost: type[Exception], cut: type[Exception]
) -> None:
    for kind, error in (("close-before", lost), ("close-after", lost), ("truncate", cut)):
        faults.add(kind, times=2)  # aiohttp repeats a GET once if the connection is lost
        with pytest.raises(error):
            fetch_with(client, faults.server)
        faults.call("DELETE")
    assert fetch_with(client, faults.server) == 200


@pytest.mark.parametrize("client", ["requests", "httpx", "aiohttp"])
@pytest.mark.parametrize("kind", ["400", "401", "403", "404", "429", "500", "503"])
def test_http_error_fault_returns_its_status_code(faults: Faults, client: str, kind: str) -> None:
    faults.add(kind)
    assert fetch_with(client, faults.server) == int(kind)
    assert fetch_with(client, faults.server) == 200


@pytest.mark.parametrize(
    ("kind", "path", "headers"),
    [
        ("401", JOBS, {"Authorization": "Token wrong"}),
        ("403", JOBS.replace(str(ACCOUNT_ID), "7"), {}),
        ("404", f"{JOBS}/1", {}),
    ],
)
def test_refusal_fault_returns_the_answer_to_a_real_mistake(
    faults: Faults, kind: str, path: str, headers: dict[str, str]
) -> None:
    mistaken = requests.get(
        f"{faults.server.url}{path}/", headers=faults.headers | headers, timeout=30
    )
    faults.add(kind)
    response = faults.get_jobs()

    assert (response.status_code, response.json()) == (mistaken.status_code, mistaken.json())


def test_429_fault_sets_retry_after(faults: Faults) -> None:
    faults.add("429", seconds=7)
    response = faults.get_jobs()
    assert response.headers["Retry-After"] == "7"
    assert response.json()["status"]["code"] == 429


def test_503_fault_returns_an_html_page(faults: Faults) -> None:
    faults.add("503")
    response = faults.get_jobs()
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.text.startswith("<html>")


def test_slow_fault_delays_the_correct_response(faults: Faults) -> None:
    faults.add("slow", seconds=0.1)
    faults.add("slow", seconds=30)
    assert faults.get_jobs().json()["data"]
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{faults.server.url}{JOBS}/", headers=faults.headers, timeout=1)


@pytest.mark.parametrize(("kind", "runs"), [("close-before", 0), ("close-after", 1)])
def test_close_after_triggers_the_run_and_close_before_does_not(
    faults: Faults, kind: str, runs: int
) -> None:
    server = faults.server
    before = server.get("runs/", job_definition_id=BUILD_AFTER_LOAD, order_by="-id", limit=100)
    faults.add(kind, path=RUN, method="post")
    with pytest.raises(httpx.RemoteProtocolError):
        server.trigger(BUILD_AFTER_LOAD, steps_override=["dbt deps"])
    after = server.get("runs/", job_definition_id=BUILD_AFTER_LOAD, order_by="-id", limit=100)
    assert len({run["id"] for run in after} - {run["id"] for run in before}) == runs


def test_faults_count_down_and_can_be_cleared(faults: Faults) -> None:
    faults.add("500", times=2)
    faults.add("503", method="DELETE")
    assert faults.get_jobs().status_code == 500
    left = faults.call("GET").json()["data"]
    assert [(one["kind"], one["times"]) for one in left] == [("500", 1), ("503", 1)]
    assert faults.call("DELETE").json()["data"] == []
    assert faults.get_jobs().status_code == 200


def test_fault_applies_only_to_paths_that_match_its_pattern(faults: Faults) -> None:
    faults.add("500", path="/api/*/runs/*", times=9)
    assert faults.get_jobs().status_code == 200
    assert faults.server.request("GET", "runs/1/").status_code == 500
    assert faults.server.request("GET", "runs/").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/faults", "/faults/", "/%66aults", "//faults"])
def test_faults_need_the_token(faults: Faults, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Token wrong"}):
        url = f"{faults.server.url}{path}"
        response = requests.request(method, url, headers=headers, json={"kind": "500"}, timeout=30)
        assert response.status_code == 401
    assert faults.call("GET").json()["data"] == []


def test_call_without_a_token_does_not_consume_a_fault(faults: Faults) -> None:
    faults.add("500")
    url = f"{faults.server.url}{JOBS}"
    assert requests.get(url, timeout=30).status_code == 401
    assert faults.get_jobs().status_code == 500


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "explode"},
        {"kind": 500},
        {"kind": "500", "times": 0},
        {"kind": "slow", "seconds": -1},
        {"kind": "slow", "seconds": 1e308},
    ],
)
def test_invalid_fault_is_400(faults: Faults, body: dict[str, Any]) -> None:
    assert faults.call("POST", json=body).status_code == 400


def test_fault_options_apply_from_server_start(make_local_dbt_cloud: MakeLocalDbtCloud) -> None:
    server = make_local_dbt_cloud("--fault", f"503 GET {JOBS} times=2", "--fault", "429 POST")
    codes = [server.request("GET", "jobs/").status_code for _ in range(3)]
    assert codes == [503, 503, 200]
    assert server.request("POST", "runs/1/cancel/").status_code == 429
