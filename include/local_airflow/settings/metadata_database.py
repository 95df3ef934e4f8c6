"""Which metadata database Airflow uses: SQLite, an embedded PostgreSQL, or one that is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from include.local_airflow.errors import LaunchError

DRIVER = "postgresql+psycopg"


@dataclass(frozen=True)
class MetadataDatabase:
    """A database as SQLAlchemy's URL."""

    url: str
    mark: Path | None = None
    """The file beside the data that says which Airflow has migrated them, if only we do so."""

    def environment(self) -> dict[str, str]:
        """Return Airflow's settings for it."""
        settings = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url}
        if self.url.startswith(DRIVER):  # one driver for both kinds of engine
            settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = self.url
        return settings


def sqlite_database(home: Path) -> MetadataDatabase:
    """Return the database of `make run`, away from the scheduler of `make start`."""
    file = home / "run.db"
    # Seconds until "database is locked"; 5 are too few on a busy machine.
    return MetadataDatabase(f"sqlite:///{file}?timeout=30", Path(f"{file}.version"))


def given_database(url: str) -> MetadataDatabase:
    """Return the database that DATABASE_URL names.

    Raises:
        LaunchError: it is no PostgreSQL, or names no database.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql", DRIVER) or not parts.path.strip("/"):
        raise LaunchError(
            "DATABASE_URL names no PostgreSQL database: write it as "
            "postgresql://USER:PASSWORD@HOST:5432/DATABASE, or leave it out."
        )
    return MetadataDatabase(url.replace(parts.scheme, DRIVER, 1))


def public_name(database: MetadataDatabase) -> str:
    """Return the server and the database, without user and password."""
    parts = urlsplit(database.url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
