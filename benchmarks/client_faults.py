"""Faults of dbt Cloud and its clients: runs started, seconds until the end, and the error shown.

Each client runs one job of one model with its own retries, polls once a second if it can be set,
and meets one fault. Seconds exclude imports and the start of Prefect's server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients.environments import CLIENTS, ROOT, Client
from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.dbt_projects import write_project

ACCOUNT_ID, JOB_ID = 1, 1
JOBS = """\
account: {id: 1, name: Clients}
projects: [{id: 1, name: Clients}]
environments: [{id: 1, project_id: 1, name: Production}]
jobs: [{id: 1, project_id: 1, environment_id: 1, name: Build, execute_steps: [dbt build]}]
"""
TRIGGER, POLL = ("POST", "*/run"), ("GET", "*/runs/*")
LIMIT = 300.0  # seconds of one client
MAX_MESSAGE = 160  # characters


@dataclass(frozen=True)
class Scenario:
    """A fault and the calls that meet it. aiohttp repeats a GET once after a lost connection."""

    name: str
    kind: str = ""
    call: tuple[str, str] = TRIGGER
    times: int = 1


SCENARIOS = (
    Scenario("no fault"),
    Scenario("trigger: close-before", "close-before"),
    Scenario("trigger: close-after", "close-after"),
    Scenario("trigger: truncate", "truncate"),
    Scenario("trigger: 429", "429"),
    Scenario("trigger: 503", "503"),
    Scenario("trigger: 401, always", "401", times=100),
    Scenario("poll: 500", "500", POLL),
    Scenario("poll: close-before, twice", "close-before", POLL, 2),
    Scenario("poll: truncate, twice", "truncate", POLL, 2),
    Scenario("poll: 401, always", "401", POLL, 100),
)


@dataclass(frozen=True)
class Outcome:
    """What one client did about one fault."""

    runs: int
    seconds: float
    error: str

    def __str__(self) -> str:
        result = "failed after" if self.error else "done in"
        return f"{self.runs} run{'s' * (self.runs != 1)}, {result} {self.seconds:.0f} s"


def table() -> Iterator[str]:
    """Yield the lines of a table in markdown, and the errors below it."""
    names = [client.name for client in CLIENTS]
    yield f"| fault | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    errors: dict[tuple[str, str], list[str]] = {}
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        prepare_airflow(server)
        for scenario in SCENARIOS:
            outcomes = [meet(server, client, scenario) for client in CLIENTS]
            yield f"| {scenario.name} | {' | '.join(map(str, outcomes))} |"
            for name, outcome in zip(names, outcomes, strict=True):
                if outcome.error:
                    errors.setdefault((name, outcome.error), []).append(scenario.name)
    yield ""
    for (name, error), faults in sorted(errors.items()):
        yield f"- {name} ({'; '.join(faults)}): `{error}`"


@contextmanager
def running_server(folder: Path) -> Iterator[LocalDbtCloud]:
    """Yield a local dbt Cloud with one job, which builds one model."""
    project = write_project(folder / "project", "clients", one="select 1 as id")
    (folder / "jobs.yaml").write_text(JOBS)
    options = ("--dbt-project", project, "--jobs", folder / "jobs.yaml")
    ensure_certificates(folder / "data")
    with LocalDbtCloud(folder / "data", options) as server:
        server.wait(server.trigger(JOB_ID))  # dbt is imported now
        yield server


def prepare_airflow(server: LocalDbtCloud) -> None:
    command = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
    subprocess.run(command, env=environment(server), check=True, capture_output=True)


def environment(server: LocalDbtCloud) -> dict[str, str]:
    """Return the variables of all clients; each starts without the user's own settings."""
    bundle = str(server.data / "ca-bundle.pem")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(server.data),
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "DBT_CLOUD_HOST": server.host,
        "DBT_CLOUD_TOKEN": server.token,
        "DBT_CLOUD_ACCOUNT_ID": f"{ACCOUNT_ID}",
        "DBT_CLOUD_JOB_ID": f"{JOB_ID}",
        "AIRFLOW_HOME": str(server.data / "airflow"),
        "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": server.connection,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "benchmarks" / "clients"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def meet(server: LocalDbtCloud, client: Client, scenario: Scenario) -> Outcome:
    """Run the client with the fault on a server without runs."""
    python = client.python()
    server.reset()
    method, path = scenario.call
    with ExitStack() as stack:
        if scenario.kind:
            stack.enter_context(server.faults(scenario.kind, method, path, times=scenario.times))
        done = subprocess.run(
            [python, "-m", f"benchmarks.clients.{client.script[0]}", *client.script[1:]],
            cwd=ROOT,
            env=environment(server),
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    runs = len(server.get("runs/", job_definition_id=JOB_ID))
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"seconds"')]
    if not lines:
        raise RuntimeError(f"{client.name}, {scenario.name}: {done.stdout}{done.stderr}")
    measured = json.loads(lines[-1])
    error = measured["error"].replace(server.host, "HOST")[:MAX_MESSAGE]
    return Outcome(runs, measured["seconds"], error)
