"""The local dbt Cloud for tests: the real server, in a separate process, over TLS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import requests

from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from tests.free_ports import free_port

PROJECT = Path(__file__).parents[1]
TOKEN = DBT_CLOUD.password
ACCOUNT_ID = int(DBT_CLOUD.login)
DAILY_BUILD, BUILD_AFTER_LOAD, PULL_REQUEST_CHECK = 65767, 30605, 48621
START_SECONDS = 60.0
RUN_SECONDS = 120.0
WAIT_SECONDS = 60.0
FINAL = {10, 20, 30}


class RunningDbtCloud:
    """A server that can be started, stopped and killed; the port stays the same.

    It runs from ``start`` to ``end``, or for a ``with`` block.
    """

    token = TOKEN

    def __init__(
        self, data: Path, options: tuple[str, ...] = (), account_id: int = ACCOUNT_ID
    ) -> None:
        self.account_id = account_id
        self.data = data
        self.authority = data / "ca.pem"
        self.host = f"localhost:{free_port()}"
        self.url = f"https://{self.host}"
        self.process: subprocess.Popen[bytes] | None = None
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(self.authority)
        self._options = options

    @property
    def connection(self) -> str:
        """Return Airflow's connection to the server, as the value of ``AIRFLOW_CONN_…``."""
        login, host = str(self.account_id), self.host
        fields = {"conn_type": "dbt_cloud", "host": host, "login": login, "password": self.token}
        return json.dumps(fields)

    def start(self) -> Self:
        port = self.host.rpartition(":")[2]
        command = [sys.executable, "-m", "include.local_dbt_cloud", "--port", port]
        self.process = subprocess.Popen(
            [*command, "--data", self.data, *self._options],
            cwd=PROJECT,
            env={**os.environ, "LOCAL_DBT_CLOUD_TOKEN": TOKEN},
            stdout=subprocess.DEVNULL,
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.end(signal.SIGKILL)
            raise
        return self

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(with_signal)
            self.process.wait(timeout=30)
            self.process = None

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call a path below the account's URL, with the token unless ``headers`` replace it."""
        headers = {"Authorization": f"Token {TOKEN}", **options.pop("headers", {})}
        address = f"{self.url}/api/v2/accounts/{self.account_id}/{path}"
        return self.session.request(method, address, headers=headers, timeout=30, **options)

    def get(self, path: str, **params: Any) -> Any:
        """Return the ``data`` of a successful response."""
        response = self.request("GET", path, params=params)
        assert response.ok, response.text
        return response.json()["data"]

    def trigger(self, job_id: int = DAILY_BUILD, **overrides: Any) -> int:
        """Start a run and return its id."""
        body = {"cause": "test", **overrides}
        response = self.request("POST", f"jobs/{job_id}/run/", json=body)
        assert response.ok, response.text
        run_id: int = response.json()["data"]["id"]
        return run_id

    def wait(self, run_id: int, until: set[int] | None = None) -> dict[str, Any]:
        """Return the run with its steps once it has one of the statuses, by default a final one."""
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            run: dict[str, Any] = self.get(f"runs/{run_id}/", include_related="run_steps")
            if run["status"] in (until or FINAL):
                return run
            if run["status"] in FINAL:
                break
            time.sleep(0.1)
        raise AssertionError(f"run {run_id} has status {run['status']}: {run['status_message']}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.session.get(f"{self.url}/health", timeout=5).raise_for_status()
                return
            except requests.RequestException:
                if time.monotonic() > deadline or (self.process and self.process.poll()):
                    raise
            time.sleep(0.05)


def wait_until(is_true: Callable[[], Any]) -> None:
    """Wait for a condition; raise TimeoutError after a minute."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def prepare_data(source: Path, data: Path) -> None:
    """Copy the authority that the tests trust, and dbt's parse cache, to another data folder."""
    data.mkdir(parents=True, exist_ok=True)
    for pattern in ("ca.pem", "ca-key.pem", "partial_parse_*.msgpack"):
        for file in source.glob(pattern):
            shutil.copy(file, data)
