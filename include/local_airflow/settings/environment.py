"""The environment of the processes that the launcher starts."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from include.local_airflow.settings.dotenv_file import read_dotenv
from include.local_airflow.settings.launch import EXECUTORS, Launch
from include.local_airflow.settings.metadata_database import MetadataDatabase
from include.local_dbt_cloud.serving import data_folder
from include.local_dbt_cloud.serving.connections import TRUSTED

DEFAULTS = Path(__file__).with_name("airflow_defaults.env")
KEYS = {  # Airflow's settings, and the files in its home that hold their secrets
    "AIRFLOW__API__SECRET_KEY": "api",
    "AIRFLOW__API_AUTH__JWT_SECRET": "jwt",
    "AIRFLOW__CORE__FERNET_KEY": "fernet",
}


def airflow_environment(launch: Launch, database: MetadataDatabase) -> dict[str, str]:
    """Return the environment of an Airflow process on a metadata database.

    The user's settings override the defaults, but not those that keep Airflow in this checkout.
    """
    environment = _defaults(launch) | launch.variables | _fixed(launch, database)
    if launch.uses_local_dbt_cloud:
        environment |= dict.fromkeys(TRUSTED, str(_bundle(launch)))
        for name in ("NO_PROXY", "no_proxy"):
            environment[name] = f"localhost,127.0.0.1,{environment.get(name, '')}".rstrip(",")
    return environment


@contextmanager
def read_only_environment(launch: Launch, database: MetadataDatabase) -> Iterator[dict[str, str]]:
    """Yield the environment of a process that imports Airflow and writes no file.

    The certificates of the local servers are left out until the first of them has made its file.
    """
    environment = airflow_environment(launch, database)
    if not _bundle(launch).exists():
        for name in TRUSTED:
            environment.pop(name, None)
        environment |= {k: v for k, v in launch.variables.items() if k in TRUSTED}
    with TemporaryDirectory() as logs:  # Airflow creates this folder at its import
        folder = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": logs}
        # The log lines of Airflow and its providers would bury the findings.
        yield environment | folder | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL"}


def make_keys(home: Path) -> None:
    """Create the missing secrets of Airflow, readable by the owner only."""
    for name in KEYS.values():
        if not _key(home, name):
            home.mkdir(exist_ok=True)
            flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
            with open(os.open(_key_file(home, name), flags, 0o600), "w") as opened:
                opened.write(urlsafe_b64encode(secrets.token_bytes(32)).decode())


def _defaults(launch: Launch) -> dict[str, str]:
    return read_dotenv(DEFAULTS) | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(launch.dags_folder),
        "AIRFLOW__CORE__EXECUTOR": EXECUTORS[launch.executor],
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(launch.root / "plugins"),
        # The default is a folder in /tmp, which all checkouts would share.
        "AIRFLOW__COSMOS__CACHE_DIR": str(launch.data / "cosmos"),
        data_folder.VARIABLE: str(launch.data),
    }


def _fixed(launch: Launch, database: MetadataDatabase) -> dict[str, str]:
    address = f"http://127.0.0.1:{launch.port}"
    return {
        "AIRFLOW_HOME": str(launch.home),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__PORT": str(launch.port),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(launch.home / "logs"),
        "PYTHONPATH": str(launch.root),
        "PYTHONUNBUFFERED": "1",
        **database.environment(),
        **{setting: key for setting, name in KEYS.items() if (key := _key(launch.home, name))},
    }


def _bundle(launch: Launch) -> Path:
    return launch.data / "ca-bundle.pem"


def _key(home: Path, name: str) -> str:
    """Return the secret of that name; empty if there is none yet."""
    file = _key_file(home, name)
    return file.read_text() if file.exists() else ""  # a full disk leaves an empty file


def _key_file(home: Path, name: str) -> Path:
    return home / f"{name}.key"
