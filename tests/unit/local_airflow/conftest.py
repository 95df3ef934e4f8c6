"""A separate checkout for each test: this repository's code with its own settings and state."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("supervisor", reason="needs requirements-dev.txt")

from include.local_airflow.settings.metadata_database import MetadataDatabase, sqlite_database
from include.local_airflow.supervisor.locks_and_ports import exclusive_lock

ROOT = Path(__file__).parents[3]
REAL_ACCOUNT = '{"conn_type": "dbt_cloud", "host": "localhost:1", "login": "1", "password": "x"}'


def others_may_use(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


needs_another_user = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(others_may_use, (ROOT, Path(sys.executable).resolve()))),
    reason="needs root and files that other users can read",
)


@dataclass
class Checkout:
    """A folder like a clone, with the user's commands."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``python COMMAND`` in the checkout."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=environment | self.variables,
            text=True,
            capture_output=True,
            timeout=timeout,
        )

    def launch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the launcher as the Makefile does."""
        return self.run("-m", "include.local_airflow", *arguments)

    def add_dag(self, name: str, body: str) -> None:
        """Write a Dag file; ``body`` is the body of the Dag's function."""
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        (self.folder / "dags" / f"{name}.py").write_text(
            "from datetime import timedelta\n"
            "from airflow.sdk import dag, task\n\n"
            f"@dag(schedule=None)\ndef {name}():\n{lines}\n\n{name}()\n"
        )


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> MetadataDatabase:
    """Return an empty metadata database of this Airflow, created once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "migrated"
    home.mkdir(exist_ok=True)
    database = sqlite_database(home)
    with exclusive_lock(home / "lock"):
        assert database.mark
        if not database.mark.exists():
            _migrate(home, database)
    return database


def _migrate(home: Path, database: MetadataDatabase) -> None:
    settings = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    migrate = (
        "import sys; from pathlib import Path;"
        "from include.local_airflow.airflow.prepare_database import migrate"
    )
    command = [sys.executable, "-c", f"{migrate}; migrate(Path(sys.argv[1]))", str(database.mark)]
    subprocess.run(
        command, env=os.environ | settings | database.environment(), cwd=ROOT, check=True
    )


@pytest.fixture
def checkout(tmp_path: Path, migrated: MetadataDatabase) -> Checkout:
    """Return a checkout with a real account's connection, so no local dbt Cloud starts."""
    return make_checkout(tmp_path / "checkout", migrated)


def make_checkout(folder: Path, migrated: MetadataDatabase) -> Checkout:
    (folder / ".airflow").mkdir(parents=True)
    assert migrated.mark
    for file in (migrated.mark, migrated.mark.with_suffix("")):
        shutil.copy(file, folder / ".airflow")
    (folder / "dags").mkdir()
    (folder / "plugins").mkdir()
    (folder / "include").symlink_to(ROOT / "include")
    shutil.copy(ROOT / "airflow_settings.yaml", folder)
    return Checkout(folder, {"AIRFLOW_CONN_DBT_CLOUD_DEFAULT": REAL_ACCOUNT})


@pytest.fixture
def listener() -> Iterator[Callable[[], int]]:
    """Return a function that occupies a loopback port with another program; it returns the port."""
    sockets: list[socket.socket] = []

    def listen() -> int:
        sockets.append(socket.create_server(("127.0.0.1", 0)))
        port: int = sockets[-1].getsockname()[1]
        return port

    yield listen
    for each in sockets:
        each.close()
