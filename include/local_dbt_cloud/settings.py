"""The settings of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from include.local_dbt_cloud.serving.connections import DBT_CLOUD

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_TOKEN = DBT_CLOUD.password
DBT_PROJECT = PROJECT_ROOT / "include" / "jaffle_shop"
JOBS_FILE = Path(__file__).with_name("jobs.yaml")
WEBHOOK_WAITS = (1.0, 5.0, 25.0, 125.0)  # between five attempts; undocumented by dbt Cloud
WEBHOOK_TIMEOUT = 10.0


def default_dbt_python() -> Path:
    """Return the Python of ``dbt_venv``, which has dbt."""
    return PROJECT_ROOT / "dbt_venv" / "bin" / "python"


@dataclass(frozen=True)
class Settings:
    """Options of the server.

    ``dbt_python`` has the default dbt, ``dbt_pythons`` the other versions by name; ``keep_runs`` is
    the number of run folders to keep; ``public_url`` replaces the address of the request in links;
    ``webhook_waits`` are the seconds before each further attempt of a delivery, and
    ``webhook_timeout`` the seconds for a receiver's response; ``faults`` are injected from the
    start, as with ``--fault``.
    """

    data: Path
    token: str
    host: str
    port: int
    dbt_python: Path
    dbt_project: Path
    jobs_file: Path
    keep_runs: int
    public_url: str | None = None
    webhook_waits: tuple[float, ...] = WEBHOOK_WAITS
    webhook_timeout: float = WEBHOOK_TIMEOUT
    faults: tuple[str, ...] = ()
    dbt_pythons: Mapping[str, Path] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.data / "dbt_cloud.db"

    @property
    def warehouse(self) -> Path:
        return self.data / "warehouse.duckdb"

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    def partial_parse(self, dbt_version: str) -> Path:
        """Return dbt's parse cache, shared by all runs so that a warm run parses only changes.

        Each dbt version has its own, because another version cannot read it.
        """
        return self.data / f"partial_parse_{dbt_version}.msgpack"
