"""Airflow's metadata database: SQLite, an embedded PostgreSQL, or the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from include.local_airflow.errors import LaunchError

DRIVER = "postgresql+psycopg"


@dataclass(frozen=True)
class MetadataDatabase:
    """A database, by its SQLAlchemy URL."""

    url: str
    mark: Path | None = None
    """The file with the Airflow version that last migrated it; ``None`` for the user's own."""

    def environment(self) -> dict[str, str]:
        """Return Airflow's settings for it."""
        settings = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url}
        if self.url.startswith(DRIVER):  # one driver for sync and async
            settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = self.url
        return settings


def sqlite_database(home: Path) -> MetadataDatabase:
    """Return the database of ``make run``; ``make start`` has another one."""
    file = home / "run.db"
    # Seconds until "database is locked"; the default of 5 is too short on a busy machine.
    return MetadataDatabase(f"sqlite:///{file}?timeout=30", Path(f"{file}.version"))


def given_database(url: str) -> MetadataDatabase:
    """Return the database that DATABASE_URL names.

    Raises:
        LaunchError: the URL is not PostgreSQL's, or has no database.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql", DRIVER) or not parts.path.strip("/"):
        raise LaunchError(
            "DATABASE_URL is not the URL of a PostgreSQL database: write it as "
            "postgresql://USER:PASSWORD@HOST:5432/DATABASE, or remove it."
        )
    return MetadataDatabase(url.replace(parts.scheme, DRIVER, 1))


def public_name(database: MetadataDatabase) -> str:
    """Return the server and the database, without user and password."""
    parts = urlsplit(database.url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
