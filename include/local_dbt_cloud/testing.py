"""A local dbt Cloud for tests. ``pytest_plugin.py`` has fixtures for pytest."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import httpx

from .serving import ports
from .serving.connections import DBT_CLOUD, TRUSTED, dbt_cloud_connection
from .storage.statuses import FINISHED

START_SECONDS = 60.0
STOP_SECONDS = 30.0
CALL_SECONDS = 30.0
RUN_SECONDS = 120.0

# A package inside another one is a folder of a project, which Python finds from its root only.
FOLDER = Path(__file__).parents[2] if "." in __package__ else None

# Each worker of pytest-xdist has its own ports.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_unused = list(ports.FREE_PORTS[_WORKER % 8 :: 8])


def free_port() -> int:
    """Return a loopback port without a listener, which this process has not returned before.

    A server may start, or start again, long after its port was chosen.
    """
    port = ports.free_port(_unused)
    _unused.remove(port)
    return port


def share_authority(source: Path, data: Path) -> None:
    """Let a new data folder have the certificate authority of another, and what dbt has parsed."""
    data.mkdir(parents=True, exist_ok=True)
    for pattern in ("ca.pem", "ca-key.pem", "partial_parse_*.msgpack"):
        for file in source.glob(pattern):
            shutil.copy(file, data)


class LocalDbtCloud:
    """A server in a process of its own, from ``start`` to ``end`` or for a ``with`` block.

    Args:
        data: Its data folder, which it creates. With the same folder it continues after ``end``.
        options: Options of the command line, such as ``--dbt-project`` and its value.
        port: The port; 0 selects a free one, which then stays the same.

    Attributes:
        token: For the header ``Authorization: Token …``.
        ca_file: The certificate authority that clients have to trust.
        process: None while it is stopped.
    """

    token = DBT_CLOUD.password

    def __init__(self, data: Path, options: tuple[str | Path, ...] = (), port: int = 0) -> None:
        self.data = data
        self.port = port
        self.ca_file = data / "ca.pem"
        self.process: subprocess.Popen[bytes] | None = None
        self._options = options

    @property
    def host(self) -> str:
        """Return host and port, which Airflow's connection calls host."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    @cached_property
    def account_id(self) -> int:
        account_id: int = self.request("GET", "/health").json()["account_id"]
        return account_id

    @cached_property
    def client(self) -> httpx.Client:
        """Return a client that trusts the server, and sends no token."""
        trusted = ssl.create_default_context(cafile=self.ca_file)
        return httpx.Client(
            verify=trusted, trust_env=False, timeout=CALL_SECONDS, follow_redirects=True
        )

    @property
    def connection(self) -> str:
        """Return Airflow's connection to the server, as the value of ``AIRFLOW_CONN_…``."""
        return dbt_cloud_connection(self.host, self.account_id, self.token)

    def start(self) -> Self:
        """Start the server and wait until it responds.

        Raises:
            RuntimeError: It ended, with the reason on stderr, or did not respond in a minute.
        """
        self.port = self.port or free_port()
        command = [sys.executable, "-m", __package__, "--port", f"{self.port}"]
        self.process = subprocess.Popen(
            [*command, "--data", self.data, *self._options],
            cwd=FOLDER,
            env={**os.environ, "LOCAL_DBT_CLOUD_TOKEN": self.token},
            stdout=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.end(signal.SIGKILL)
            raise
        return self

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server, or kill it with ``SIGKILL``; the next start continues."""
        if self.process:
            self.process.send_signal(with_signal)
            self.process.wait(timeout=STOP_SECONDS)
            self.process = None
        if "client" in vars(self):
            vars(self).pop("client").close()

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.end()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the API with the token, unless ``headers`` replace it.

        Args:
            method: The HTTP method.
            path: A path below the account's of v2, such as ``runs/1/``, or one that begins with /.
            options: Arguments of ``httpx.Client.request``, such as ``json`` and ``params``.
        """
        if not path.startswith("/"):
            path = f"/api/v2/accounts/{self.account_id}/{path}"
        headers = {"Authorization": f"Token {self.token}", **options.pop("headers", {})}
        return self.client.request(method, f"{self.url}{path}", headers=headers, **options)

    def get(self, path: str, **params: Any) -> Any:
        """Return the ``data`` of a response, and raise ``RuntimeError`` for an error."""
        return _data(self.request("GET", path, params=params))

    def trigger(self, job_id: int, **overrides: Any) -> int:
        """Start a run and return its id; raise ``RuntimeError`` if it was refused.

        Args:
            job_id: One of ``get("jobs/")``.
            overrides: Fields of the request, such as ``steps_override``.
        """
        body = {"cause": "test", **overrides}
        run_id: int = _data(self.request("POST", f"jobs/{job_id}/run/", json=body))["id"]
        return run_id

    def wait(
        self, run_id: int, until: Container[int] = FINISHED, timeout: float = RUN_SECONDS
    ) -> dict[str, Any]:
        """Return the run, with its steps, once it has one of the statuses.

        Raises:
            RuntimeError: It ended with another status, or ``timeout`` seconds were over.
        """
        deadline = time.monotonic() + timeout
        while True:
            run: dict[str, Any] = self.get(f"runs/{run_id}/", include_related="run_steps")
            if run["status"] in until:
                return run
            status = f"{run['status_humanized']} ({run['status']})"
            if run["status"] in FINISHED:
                raise RuntimeError(f"Run {run_id} ended: {status}, {run['status_message']}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Run {run_id} is still {status} after {timeout:g} s.")
            time.sleep(0.1)

    def reset(self) -> None:
        """End and delete all runs, and all that calls have created or changed.

        The warehouse keeps its tables; use another server for an empty one.
        """
        self.request("POST", "/reset").raise_for_status()

    @contextmanager
    def trust(self) -> Iterator[None]:
        """Let requests, aiohttp and httpx trust the server, by their environment variables.

        Clients that read them at import, as aiohttp does, have to be imported in the block.
        """
        before = {name: os.environ.get(name) for name in TRUSTED}
        os.environ.update(dict.fromkeys(TRUSTED, str(self.data / "ca-bundle.pem")))
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value

    @contextmanager
    def faults(self, kind: str, method: str = "*", path: str = "*", **more: Any) -> Iterator[None]:
        """Let the next call that matches fail; at the end no fault is left.

        Args:
            kind: A kind of the README, such as ``503``, ``429`` or ``close-after``.
            method: A method, or a pattern.
            path: A pattern such as ``*/runs*``.
            more: ``times`` and ``seconds``.

        Raises:
            ValueError: The server refused the fault.
        """
        fault = {"kind": kind, "method": method, "path": path, **more}
        response = self.request("POST", "/faults", json=fault)
        if response.is_error:
            raise ValueError(f"{fault}: {response.json()['data']}")
        try:
            yield
        finally:
            self.request("DELETE", "/faults").raise_for_status()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._responds():
            if self.process and self.process.poll() is not None:
                raise RuntimeError("The local dbt Cloud did not start: see its message on stderr.")
            if time.monotonic() > deadline:
                raise RuntimeError(f"The local dbt Cloud did not respond in {START_SECONDS:g} s.")
            time.sleep(0.05)

    def _responds(self) -> bool:
        try:
            return self.request("GET", "/health").is_success
        except (OSError, httpx.TransportError):  # no certificate yet, or no server
            return False


def _data(response: httpx.Response) -> Any:
    if response.is_error:
        call = f"{response.request.method} {response.url.path}"
        raise RuntimeError(f"{call}: {response.status_code} {response.text}")
    return response.json()["data"]
