"""The clients with their versions, and the environment of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.package.environments import uv

ROOT = Path(__file__).absolute().parents[2]
CACHE = ROOT / ".matrix" / "clients"


@dataclass(frozen=True)
class Client:
    """A client; without ``packages`` it runs in the environment of Airflow."""

    name: str
    script: tuple[str, ...]
    packages: tuple[str, ...] = ()

    def python(self) -> Path:
        """Return the Python that has the client, which the first call installs."""
        if not self.packages:
            return Path(sys.executable)
        folder = CACHE / "-".join(self.packages).replace("=", "").replace("*", "")
        python, stamp = folder / "bin" / "python", folder / "installed"
        if not stamp.exists():
            uv("venv", "--clear", "--python", sys.executable, folder)
            uv("pip", "install", "--python", python, *self.packages)
            stamp.touch()
        return python


# Besides each client, packages that it needs in a version that its own metadata allows, or lacks.
CLIENTS = (
    Client("provider", ("run_airflow", "provider")),
    Client("exactly once", ("run_airflow", "exactly_once")),
    Client("dbtc", ("run_dbtc",), ("dbtc==0.11.7", "pyarrow==17.*")),
    Client("dbt-cloud-cli", ("run_dbt_cloud_cli",), ("dbt-cloud-cli==0.9.1",)),
    Client(
        "dagster-dbt",
        ("run_dagster",),
        ("dagster-dbt==0.29.27", "dagster==1.13.27", "python-dateutil==2.9.*"),
    ),
    Client(
        "prefect-dbt",
        ("run_prefect",),
        ("prefect-dbt==0.7.25", "prefect==3.9.1", "dbt-core==1.11.*"),
    ),
)
