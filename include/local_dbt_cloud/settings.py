"""What the server was started with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_TOKEN = "local-dbt-cloud-token"
DBT_PROJECT = PROJECT_ROOT / "include" / "jaffle_shop"
JOBS_FILE = Path(__file__).with_name("jobs.yaml")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def default_data() -> Path:
    """The data folder: ``LOCAL_DBT_CLOUD_DATA``, else ``include/.local`` of this checkout."""
    return Path(os.environ.get("LOCAL_DBT_CLOUD_DATA") or PROJECT_ROOT / "include" / ".local")


def default_dbt_python() -> Path:
    """The Python that has dbt: the one in ``dbt_venv``."""
    return PROJECT_ROOT / "dbt_venv" / "bin" / "python"


@dataclass(frozen=True)
class Settings:
    """Everything a start can choose; ``keep_runs`` counts run folders, the newest ones."""

    data: Path
    token: str
    host: str
    port: int
    dbt_python: Path
    dbt_project: Path
    jobs_file: Path
    keep_runs: int

    @property
    def database(self) -> Path:
        return self.data / "dbt_cloud.db"

    @property
    def warehouse(self) -> Path:
        return self.data / "warehouse.duckdb"

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    @property
    def partial_parse(self) -> Path:
        """dbt's parse cache, carried from run to run so that a warm run parses only changes."""
        return self.data / "partial_parse.msgpack"
