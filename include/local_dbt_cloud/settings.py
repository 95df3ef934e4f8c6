"""The settings of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .serving.connections import DBT_CLOUD

DEFAULT_TOKEN = DBT_CLOUD.password
WEBHOOK_WAITS = (1.0, 5.0, 25.0, 125.0)  # between five attempts; undocumented by dbt Cloud
WEBHOOK_TIMEOUT = 10.0


@dataclass(frozen=True)
class Settings:
    """Options of the server.

    ``certificate_names`` are further host names of the certificate; ``dbt_python`` has the default
    dbt, ``dbt_pythons`` the other versions by name; ``dbt_projects`` are folders by dbt Cloud's
    project id, ``dbt_project`` is that of all others, if given; ``profiles_dir`` has a
    ``profiles.yml``, in which ``target`` names an output, or is None for the server's own DuckDB;
    without a ``jobs_file`` each folder has one job, ``dbt build``; ``keep_runs`` is the number of
    run folders to keep; ``public_url`` replaces the address of the request in links;
    ``airflow_page`` is the address of the page "dbt Cloud" in Airflow's UI, for links to its runs;
    ``webhook_waits`` are the seconds before each further attempt of a delivery, and
    ``webhook_timeout`` the seconds for a receiver's response; ``faults`` are injected from the
    start, as with ``--fault``; ``log_requests`` is whether each request is logged.
    """

    data: Path
    token: str
    host: str
    port: int
    dbt_python: Path
    dbt_project: Path | None
    jobs_file: Path | None
    keep_runs: int
    dbt_projects: Mapping[int, Path] = field(default_factory=dict)
    certificate_names: tuple[str, ...] = ()
    profiles_dir: Path | None = None
    target: str | None = None
    public_url: str | None = None
    airflow_page: str | None = None
    webhook_waits: tuple[float, ...] = WEBHOOK_WAITS
    webhook_timeout: float = WEBHOOK_TIMEOUT
    faults: tuple[str, ...] = ()
    log_requests: bool = False
    dbt_pythons: Mapping[str, Path] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.data / "dbt_cloud.db"

    @property
    def warehouse(self) -> Path:
        return self.data / "warehouse.duckdb"

    def folder_of(self, project_id: int, subdirectory: str | None) -> Path:
        """Return the dbt project that the runs of a project build, in its repository's folder.

        A project that is in no option has the folder of the first one.
        """
        folder = self.dbt_projects.get(project_id) or self.dbt_project
        return (folder or next(iter(self.dbt_projects.values()))) / (subdirectory or "").strip("/")

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    def partial_parse(self, dbt_project: str, dbt_version: str) -> Path:
        """Return a dbt project's parse cache, so that a warm run parses only changes.

        Each dbt version has its own, because another version cannot read it.
        """
        return self.data / f"partial_parse_{dbt_project}_{dbt_version}.msgpack"
