"""A hostile or broken client can only cause a 4xx response."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
import requests

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD, PROJECT
from tests.conftest import CERTIFICATES

RUN = f"jobs/{DAILY_BUILD}/run/"
NESTED = b'{"cause": ' + b"[" * 50 + b"]" * 50 + b"}"


def assert_refused(response: httpx.Response) -> None:
    assert response.status_code == 400, response.text
    assert response.json()["status"]["code"] == 400
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"cause": "a", "cause": "b"}',
        b'{"cause": "null byte \\u0000"}',
        b'{"cause": "half a pair \\ud800"}',
        b'{"cause": "test", "threads_override": 1e999}',
        b'{"cause": "test", "threads_override": NaN}',
        b'{"cause": "test", "github_pull_request_id": 9223372036854775808}',
        b'{"cause": "test", "github_pull_request_id": ' + b"9" * 5000 + b"}",
        b'{"cause": "\xff\xfe"}',
        b"\xff\xfe{",
        NESTED,
        b'{"a":' * 100_000,
        b'{"cause": true}',
        b'{"cause": "test", "steps_override": "dbt build"}',
        b'{"cause": "test", "generate_docs_override": "yes"}',
        b'{"cause": "test", "timeout_seconds_override": 1e3}',
        b"null",
    ],
)
def test_a_broken_body_is_refused(local_dbt_cloud: LocalDbtCloud, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert_refused(local_dbt_cloud.request("POST", RUN, content=body, headers=headers))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
        ("application/x-www-form-urlencoded", b"cause=%00"),
        ("application/x-www-form-urlencoded", b"cause=a&" + b"b=1&" * 2000),
        ("application/json; charset=no-such", b"\x80"),
    ],
)
def test_a_broken_form_is_refused(local_dbt_cloud: LocalDbtCloud, kind: str, body: bytes) -> None:
    headers = {"Content-Type": kind}
    assert_refused(local_dbt_cloud.request("POST", RUN, content=body, headers=headers))


def test_a_large_body_is_refused_before_it_is_read(local_dbt_cloud: LocalDbtCloud) -> None:
    """The response arrives before any part of the body is sent."""
    head = (
        f"POST /api/v2/accounts/{ACCOUNT_ID}/{RUN} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Token {local_dbt_cloud.token}\r\nContent-Length: {2**40}\r\n\r\n"
    )
    assert exchange(local_dbt_cloud, head.encode()).startswith(b"HTTP/1.1 400")


def test_a_large_body_without_length_is_refused(local_dbt_cloud: LocalDbtCloud) -> None:
    chunks = (b"x" * 65536 for _ in range(32))  # sent chunked, 2 MiB
    assert_refused(local_dbt_cloud.request("POST", RUN, content=chunks))


def test_malformed_http_is_rejected_in_the_envelope(local_dbt_cloud: LocalDbtCloud) -> None:
    head, _, body = exchange(local_dbt_cloud, b"\x01 nonsense\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["status"]["code"] == 400


def exchange(server: LocalDbtCloud, request: bytes) -> bytes:
    """Return the server's response to some bytes, up to its first pause."""
    host, _, port = server.host.partition(":")
    context = ssl.create_default_context(cafile=server.ca_file)
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(request)
        return connection.recv(65536)


@pytest.mark.parametrize(
    "query",
    [
        "limit=99999999999999999999",
        "offset=-1",
        "limit=%00",
        "pk__in=" + "1," * 5000,
        "created_at__range=0001-01-01T00:00:00%2B14:00,9999-12-31T23:59:59-14:00",
        "status=%ED%A0%80",
        "order_by=id;drop",
    ],
)
def test_a_broken_query_is_refused(local_dbt_cloud: LocalDbtCloud, query: str) -> None:
    assert_refused(local_dbt_cloud.request("GET", f"runs/?{query}"))


@pytest.fixture(scope="module")
def parsed_run(local_dbt_cloud: LocalDbtCloud) -> int:
    """Return a run with artifacts."""
    run_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt parse"])
    assert local_dbt_cloud.wait(run_id)["artifacts_saved"]
    return run_id


@pytest.mark.parametrize(
    "name",
    [
        "../logs.txt",
        "..%2flogs.txt",
        "..%252flogs.txt",
        "%2e%2e/logs.txt",
        "%2e%2e%2flogs.txt",
        "compiled/../../logs.txt",
        "..\\logs.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "file:///etc/passwd",
        "%00",
        "manifest.json%00.txt",
        "a" * 300,
    ],
)
def test_artifact_path_cannot_leave_the_run_folder(
    local_dbt_cloud: LocalDbtCloud, parsed_run: int, name: str
) -> None:
    path = f"/api/v2/accounts/{ACCOUNT_ID}/runs/{parsed_run}/artifacts/{name}"
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    token = f"Authorization: Token {local_dbt_cloud.token}\r\n\r\n"
    response = exchange(local_dbt_cloud, (head + token).encode())
    assert re.match(rb"HTTP/1.1 (400|404|501) ", response), response  # as sent: clients tidy paths


def test_unexpected_error_details_are_only_in_the_log(
    make_local_dbt_cloud: MakeLocalDbtCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    server = make_local_dbt_cloud()
    with sqlite3.connect(server.data / "dbt_cloud.db") as database:
        database.execute("DROP TABLE webhook_subscriptions")
    webhooks = f"{server.url}/api/v3/accounts/{ACCOUNT_ID}/webhooks/subscriptions"
    response = requests.post(
        webhooks,
        json={
            "name": "n",
            "client_url": "https://example.com/?key=confidential",
            "event_types": ["job.run.started"],
            "active": True,
        },
        headers={"Authorization": f"Token {server.token}"},
        timeout=30,
    )
    assert response.status_code == 500
    assert response.json()["status"]["user_message"].startswith("There was a server error")
    assert "sqlite" not in response.text.lower()
    log = capfd.readouterr().err
    assert "no such table: webhook_subscriptions" in log
    assert "confidential" not in log
    assert server.token not in log


def test_startup_does_not_print_a_custom_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_TOKEN", "confidential")
    command = [sys.executable, "-m", "include.local_dbt_cloud", "--port", "0"]
    command += ["--data", str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        while not lines or not lines[-1].startswith("  export SSL_CERT_FILE="):
            lines.append(process.stdout.readline())
        process.terminate()
    assert "$LOCAL_DBT_CLOUD_TOKEN" in lines[1]
    assert '-H "Authorization: Token $LOCAL_DBT_CLOUD_TOKEN"' in lines[5]
    assert not any("confidential" in line for line in lines)


def test_dbt_environment_does_not_contain_the_token(local_dbt_cloud: LocalDbtCloud) -> None:
    command = (
        """dbt show --inline "select '{{ env_var('LOCAL_DBT_CLOUD_TOKEN', 'hidden') }}' as t\""""
    )
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=[command]))
    assert run["is_success"], run["run_steps"][-1]["logs"]
    assert "hidden" in run["run_steps"][-1]["logs"]


def test_database_file_is_accessible_only_to_its_owner(local_dbt_cloud: LocalDbtCloud) -> None:
    """The file contains the secrets of webhooks."""
    assert (local_dbt_cloud.data / "dbt_cloud.db").stat().st_mode & 0o077 == 0


def test_links_begin_with_the_public_url(make_local_dbt_cloud: MakeLocalDbtCloud) -> None:
    server = make_local_dbt_cloud("--public-url", "https://dbt.example.com:8580/")
    run: dict[str, Any] = server.get(f"runs/{server.trigger(DAILY_BUILD)}/")
    assert run["href"].startswith("https://dbt.example.com:8580/deploy/")


def test_ctrl_c_stops_the_server_without_an_error(
    make_local_dbt_cloud: MakeLocalDbtCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    server = make_local_dbt_cloud()
    process = server.process
    assert process
    server.end(signal.SIGINT)
    assert process.returncode == 0
    assert "Traceback" not in capfd.readouterr().err


def test_server_certificate_is_verified_by_the_local_authority(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    """Clients need not disable verification."""
    address = f"{local_dbt_cloud.url}/health"
    response = requests.get(address, verify=str(CERTIFICATES.ca), timeout=10)
    assert response.json()["account_id"] == ACCOUNT_ID
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        requests.get(address, verify=certifi.where(), timeout=10)


def test_server_keeps_a_connection_longer_than_clients_pause(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    """Many clients poll every 5 seconds; closing after 5 seconds would break their next request."""
    host, _, port = local_dbt_cloud.host.partition(":")
    context = ssl.create_default_context(cafile=str(local_dbt_cloud.ca_file))
    with closing(HTTPSConnection(host, int(port), context=context, timeout=30)) as connection:
        connection.request("GET", "/health")
        connection.getresponse().read()
        used = connection.sock
        time.sleep(6)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        assert connection.sock is used


def test_certificate_has_the_given_names(make_local_dbt_cloud: MakeLocalDbtCloud) -> None:
    server = make_local_dbt_cloud("--certificate-name", "cloud.getdbt.com")
    trusted = ssl.create_default_context(cafile=server.ca_file)
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        trusted.wrap_socket(plain, server_hostname="cloud.getdbt.com") as connection,
    ):
        assert connection.version()
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match=r"emea\.dbt\.com"),
    ):
        trusted.wrap_socket(plain, server_hostname="emea.dbt.com")
