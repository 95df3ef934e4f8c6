"""A copy of this repository with an Airflow and a local dbt Cloud of its own, driven over REST."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psutil
from rich.console import Console

from include.local_airflow.settings.launch import Launch
from include.local_airflow.status import status
from include.local_airflow.supervisor.client import State, Supervisor
from include.local_airflow.supervisor.locks_and_ports import wait
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from include.local_dbt_cloud.testing import free_port
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """The copy. Its Dags look every second, and retry after a second."""

    root: Path
    port: int
    dbt_cloud_port: int
    fivetran_census_port: int
    token: str = DBT_CLOUD.password

    @classmethod
    def copy_to(cls, root: Path, retries: int = 1, **settings: str) -> Project:
        files = subprocess.check_output(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            text=True,
        )
        for name in files.splitlines():
            if (CHECKOUT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, root / name)
        (root / ".venv").symlink_to(sys.prefix)  # `make test-next` has another
        (root / "dbt_venv").symlink_to(CHECKOUT / "dbt_venv")
        watched = 0
        for dag in (root / "dags").glob("*.py"):
            text = dag.read_text().replace("duration(seconds=30)", "duration(seconds=1)")
            text = text.replace("timedelta(hours=3)", "timedelta(seconds=15)")  # a Dag's deadline
            text = text.replace('"retries": 2', f'"retries": {retries}')
            text, found = re.subn(
                r"\b((job|account)_runs\([^()]*CONN_ID)\)", r"\1, poll_interval=1)", text
            )
            watched += found
            dag.write_text(re.sub(r"(check|poke)_interval=\d+", r"\1_interval=1", text))
        assert watched, "no Dag makes an asset of dbt Cloud's runs"
        return cls(root, free_port(), free_port(), free_port(), **settings)

    def launcher(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the launcher, as ``make run``, ``make start`` and ``make stop`` do."""
        return subprocess.run(
            [sys.executable, "-m", "include.local_airflow", *arguments],
            cwd=self.root,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=600,
        )

    @contextmanager
    def started(self, **variables: str) -> Iterator[str]:
        """Run ``make start`` for the block; yield its output."""
        try:
            started = self.launcher("start", **variables)
            assert started.returncode == 0, started.stdout + started.stderr
            yield started.stdout
        finally:
            self.launcher("stop")

    @property
    def environment(self) -> dict[str, str]:
        ours = ("AIRFLOW", "LOCAL_DBT_CLOUD", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        outer = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        ports = {
            "PORT": str(self.port),
            "DBT_CLOUD_PORT": str(self.dbt_cloud_port),
            "FIVETRAN_CENSUS_PORT": str(self.fivetran_census_port),
        }
        # A file that has changed is parsed at once; the others need not be, again and again.
        calm = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600"}
        return outer | ports | calm | {"PYTHONPATH": str(self.root)}

    @property
    def supervisors(self) -> list[Supervisor]:
        home = self.root / ".airflow"
        return [Supervisor(name, self.root, home) for name in ("airflow", "servers")]

    def states(self) -> dict[str, State]:
        """Return the state of each supervised process."""
        return {name: state for each in self.supervisors for name, state in each.states().items()}

    def is_well(self) -> bool:
        """Return whether ``make status`` succeeds, without a new process."""
        launch = Launch.read(self.root, self.environment)
        return status(launch, Console(quiet=True)) == 0

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.states()[name].pid)

    def kill(self, name: str, family: bool = False) -> None:
        """kill -9 of one of the processes that are watched, with ``family`` of its children too."""
        killed = self.process(name)
        for process in [killed, *killed.children(recursive=True)] if family else [killed]:
            with suppress(psutil.NoSuchProcess):  # a task's process ends at any moment
                process.kill()
        wait([killed], 10)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs out of this copy."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.root):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    @property
    def warehouse_file(self) -> Path:
        return self.root / "include" / ".local" / "warehouse.duckdb"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse, waiting while dbt or a task holds it."""
        with self.warehouse() as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the warehouse for writing; other processes wait for it meanwhile."""

        def connect() -> duckdb.DuckDBPyConnection | None:
            try:
                return duckdb.connect(self.warehouse_file)
            except duckdb.IOException:
                return None

        with eventually(connect, "the warehouse is free") as connection:
            yield connection

    @cached_property
    def dbt_cloud(self) -> httpx.Client:
        """The local dbt Cloud's API, under the account."""
        return httpx.Client(
            base_url=f"https://localhost:{self.dbt_cloud_port}/api/v2/accounts/{DBT_CLOUD.login}",
            headers={"Authorization": f"Token {self.token}"},
            verify=ssl.create_default_context(cafile=self.root / "include" / ".local" / "ca.pem"),
            trust_env=False,
            timeout=30,
            limits=httpx.Limits(max_keepalive_connections=0),  # nobody closes this client
        )

    def dbt_runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the runs, the newest first."""
        response = self.dbt_cloud.get("/runs/", params={"order_by": "-id", **filters})
        data: list[dict[str, Any]] = response.raise_for_status().json()["data"]
        return data
