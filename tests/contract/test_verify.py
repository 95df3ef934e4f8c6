"""``verify`` against a real HTTPS proxy that changes some answers of a local dbt Cloud."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from include.local_dbt_cloud.verify.command import DIFFERENT, EQUAL, FAILED, main
from tests.bundled import ACCOUNT_ID, DAILY_BUILD, TOKEN
from tests.conftest import CERTIFICATES
from tests.contract.conftest import http_client
from tests.contract.resource_examples import EXAMPLES, Workspace

ACCOUNT = f"/api/v2/accounts/{ACCOUNT_ID}"
V3 = f"/api/v3/accounts/{ACCOUNT_ID}"
# A value that is not a name of a field or a type: it would be recognizable in a report.
TELLING = re.compile(r".*[A-Z0-9 /].*")


class Proxy:
    """Passes calls on to a local dbt Cloud, and changes some of its answers.

    Attributes:
        refused: Paths that return 403.
        lost: Paths that close the connection without a response.
        values: All texts in the answers.
    """

    def __init__(self, behind: LocalDbtCloud) -> None:
        self.behind = behind
        self.refused: set[str] = set()
        self.lost: set[str] = set()
        self.changes = True
        self.values: set[str] = set()

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        if path.partition("?")[0] in self.refused:
            return 403, b'{"status": {"code": 403}, "data": null}'
        response = self.behind.client.request(
            method,
            f"{self.behind.url}{path}",
            headers={"Authorization": headers["Authorization"]},
            content=body,
        )
        content = response.json()
        if self.changes:
            self.change(path.partition("?")[0], content["data"])
        self.values |= set(texts_in(content))
        return response.status_code, json.dumps(content).encode()

    def change(self, path: str, data: Any) -> None:
        """Remove a field, change the type of one, and add one, in one answer each."""
        if path == f"{ACCOUNT}/jobs":
            for job in data:
                job["settings"].pop("threads")
        elif re.fullmatch(rf"{ACCOUNT}/runs/\d+", path):
            data["duration"] = 7.5
        elif path == f"{V3}/projects":
            data[0]["sponsor"] = "Mister Pickwick"


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts_in(inner)
            yield key
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, str):
        yield value


@pytest.fixture
def proxy(local_dbt_cloud: LocalDbtCloud) -> Proxy:
    return Proxy(local_dbt_cloud)


@pytest.fixture
def host(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of the running proxy; the token and the account are set."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if self.path.partition("?")[0] in proxy.lost:
                self.close_connection = True
                return
            status, content = proxy.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = respond

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES.server, CERTIFICATES.server_key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("DBT_CLOUD_TOKEN", TOKEN)
    monkeypatch.setenv("DBT_CLOUD_ACCOUNT_ID", str(ACCOUNT_ID))
    yield f"localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def account(local_dbt_cloud: LocalDbtCloud) -> Iterator[LocalDbtCloud]:
    """Yield an account with a finished run, a variable and a webhook."""
    local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt ls"]))
    variables = f"/api/v3/accounts/{ACCOUNT_ID}/projects/36467/environment-variables/bulk"
    body = {"env_var": {"new_name": "DBT_OF_ACME", "project": "acme", "Production": "inc"}}
    assert local_dbt_cloud.request("POST", variables, json=body).is_success
    yield local_dbt_cloud
    assert local_dbt_cloud.request("DELETE", variables, json={"name": "DBT_OF_ACME"}).is_success


def test_report_names_exactly_the_changed_fields_and_no_value(
    account: LocalDbtCloud, proxy: Proxy, host: str, tmp_path: Path
) -> None:
    proxy.refused.add(f"{V3}/webhooks/subscriptions")
    proxy.lost.add(f"{V3}/environments")

    code = main(["--host", host, "--report", str(tmp_path / "report.md")])

    report = (tmp_path / "report.md").read_text()
    found = re.findall(r"^## `(.+)`\n\n((?:- .+\n)+)", report, re.MULTILINE)
    assert code == DIFFERENT
    assert found == [
        (
            "/api/v3/accounts/{account_id}/projects",
            "- `data[].sponsor`: only in dbt Cloud (string)\n",
        ),
        ("/api/v2/accounts/{account_id}/jobs", "- `data[].settings.threads`: only here\n"),
        (
            "/api/v2/accounts/{account_id}/runs/{run_id}",
            "- `data.duration`: number in dbt Cloud, string here\n",
        ),
    ]
    assert "| not compared, in dbt Cloud 403: the token may not read this |" in report
    assert "{account_id}/environments` | not compared, in dbt Cloud connection lost |" in report
    telling = {text for text in proxy.values if len(text) > 3 and TELLING.fullmatch(text)}
    assert {"Mister Pickwick", "Daily build", "DBT_OF_ACME"} <= telling
    assert not {text for text in telling if text in report}
    assert not {word for word in (TOKEN, host, str(ACCOUNT_ID)) if word in report}


def test_run_job_compares_the_answer_to_a_trigger(
    account: LocalDbtCloud, proxy: Proxy, host: str, tmp_path: Path
) -> None:
    proxy.changes = False
    before = account.get("runs/", order_by="-id", limit=1)[0]["id"]
    local = ["--local", account.url, "--report", str(tmp_path / "report.json")]

    assert main(["--host", f"https://{host}/", "--run-job", str(DAILY_BUILD), *local]) == EQUAL

    results = json.loads((tmp_path / "report.json").read_text())
    assert results[0]["endpoint"] == "POST /api/v2/accounts/{account_id}/jobs/{job_id}/run"
    assert {result["result"] for result in results if "not compared" not in result["result"]} == {
        "equal"
    }
    started = [run["id"] for run in account.get("runs/", id__gt=before)]
    assert len(started) == 2  # one on each side, which is the same server


def test_resources_of_the_account_are_copied_to_be_compared(
    make_local_dbt_cloud: MakeLocalDbtCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = make_local_dbt_cloud()
    monkeypatch.setenv("DBT_CLOUD_TOKEN", account.token)
    monkeypatch.setenv("DBT_CLOUD_ACCOUNT_ID", f"{account.account_id}")
    with http_client(account) as api:
        workspace = Workspace(api, 36467)
        for kind in EXAMPLES:
            workspace.make(kind)

    main(["--host", account.host, "--report", str(tmp_path / "report.json")])

    results = json.loads((tmp_path / "report.json").read_text())
    found = {one["endpoint"].partition("{account_id}/")[2]: one["result"] for one in results}
    of_kinds = {path: one for path, one in found.items() if path.endswith("_id}")}
    assert len({path for path, one in of_kinds.items() if one == "equal"}) > len(EXAMPLES)
    without = {path for path, one in of_kinds.items() if one != "equal"}
    assert without == {
        "runs/{run_id}",
        "steps/{step_id}",
        "webhooks/subscription/{subscription_id}",
    }
    assert found["group-permissions/{group_id}"] == "equal"
    assert found["service-tokens/{service_token_id}/permissions"] == "equal"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DBT_CLOUD_TOKEN", "another", "the token is not valid here"),
        ("DBT_CLOUD_TOKEN", "", "Set DBT_CLOUD_TOKEN"),
        ("DBT_CLOUD_ACCOUNT_ID", "7", "the token cannot read account 7"),
        ("SSL_CERT_FILE", "", "TLS error"),
    ],
)
def test_wrong_settings_are_reported_with_the_next_step(
    host: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(variable, value)

    assert main(["--host", host]) == FAILED

    assert message in capsys.readouterr().err


def test_unreachable_host_is_reported_with_the_next_step(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert main(["--host", f"localhost:{port}"]) == FAILED

    assert "no connection" in capsys.readouterr().err
