"""What the server was started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from include.local_servers.connections import DBT_CLOUD

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_TOKEN = DBT_CLOUD.password
DBT_PROJECT = PROJECT_ROOT / "include" / "jaffle_shop"
JOBS_FILE = Path(__file__).with_name("jobs.yaml")
WEBHOOK_WAITS = (1.0, 5.0, 25.0, 125.0)  # five tries; dbt Cloud does not say how far apart
WEBHOOK_TIMEOUT = 10.0


def default_dbt_python() -> Path:
    """The Python that has dbt: the one in ``dbt_venv``."""
    return PROJECT_ROOT / "dbt_venv" / "bin" / "python"


@dataclass(frozen=True)
class Settings:
    """Everything a start can choose.

    ``dbt_python`` has the default dbt, ``dbt_pythons`` those of other versions by name;
    ``keep_runs`` counts run folders, the newest ones; ``public_url`` is how browsers reach the
    server if not by the address of the call; ``webhook_waits`` are the seconds before each
    further try of a delivery, ``webhook_timeout`` those that a receiver has to answer; ``faults``
    says what is to go wrong from the start, as ``--fault`` does.
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
        """dbt's parse cache, carried from run to run so that a warm run parses only changes.

        A dbt of another version cannot read it.
        """
        return self.data / f"partial_parse_{dbt_version}.msgpack"
