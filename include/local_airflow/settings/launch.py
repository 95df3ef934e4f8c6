"""The environment of the launched processes: `.env`, Airflow's settings, certificates."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_variable import PREFIX
from include.local_airflow.settings.dotenv_file import read_dotenv
from include.local_airflow.settings.metadata_database import MetadataDatabase
from include.local_servers import data_folder
from include.local_servers.connections import CENSUS, DBT_CLOUD, FIVETRAN

ROOT = Path(__file__).absolute().parents[3]
EXECUTORS = {  # as people name them, and as Airflow imports them
    "LocalExecutor": "include.local_airflow.airflow.executor.LocalExecutor",
    "CeleryExecutor": "CeleryExecutor",
}
TRUSTED = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
KEYS = {  # Airflow's settings, and the files in its home that hold their secrets
    "AIRFLOW__API__SECRET_KEY": "api",
    "AIRFLOW__API_AUTH__JWT_SECRET": "jwt",
    "AIRFLOW__CORE__FERNET_KEY": "fernet",
}


@dataclass(frozen=True)
class Launch:
    """The user's choices: the real environment, then `.env`, then the defaults."""

    variables: dict[str, str]
    root: Path = ROOT

    @classmethod
    def read(cls, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> Launch:
        """Merge `.env` under the real environment; a name without a value counts as not set.

        A connection that has no value in either stays, so that its check finds it.

        Raises:
            LaunchError: `.env` is not UTF-8 text.
        """
        dotenv = read_dotenv(root / ".env")
        both = [*dotenv.items(), *environ.items()]
        empty = {key: "" for key, value in both if not value and key.startswith(PREFIX)}
        return cls(empty | {key: value for key, value in both if value}, root)

    @property
    def port(self) -> int:
        """The port of Airflow's UI and API."""
        return self._port("PORT", 8080)

    @property
    def dbt_cloud_port(self) -> int:
        """The port of the local dbt Cloud."""
        return self._port("DBT_CLOUD_PORT", DBT_CLOUD.port)

    @property
    def uses_local_dbt_cloud(self) -> bool:
        """False once the connection names a real account."""
        return DBT_CLOUD.variable not in self.variables

    @property
    def local_token(self) -> str:
        """The token of the local dbt Cloud."""
        return self.variables.get("LOCAL_DBT_CLOUD_TOKEN", DBT_CLOUD.password)

    @property
    def fivetran_census_port(self) -> int:
        """The port of the local Fivetran and Census."""
        return self._port("FIVETRAN_CENSUS_PORT", self.dbt_cloud_port + 1)

    @property
    def uses_local_fivetran_census(self) -> bool:
        """False once both connections are real; a real dbt Cloud cannot see the local warehouse."""
        are_real = self.variables.keys() >= {FIVETRAN.variable, CENSUS.variable}
        return self.uses_local_dbt_cloud and not are_real

    @property
    def home(self) -> Path:
        """Airflow's home: databases, logs, pid files, keys."""
        return self.root / ".airflow"

    @property
    def data(self) -> Path:
        """The data folder of the local dbt Cloud and the warehouse."""
        return self.root / self.variables.get(data_folder.VARIABLE, data_folder.DEFAULT)

    @property
    def dags_folder(self) -> Path:
        return Path(self.variables.get("AIRFLOW__CORE__DAGS_FOLDER", self.root / "dags"))

    @property
    def executor(self) -> str:
        """Airflow's executor of `make start`."""
        executor = self.variables.get("EXECUTOR", next(iter(EXECUTORS)))
        if executor not in EXECUTORS:
            raise LaunchError(
                f"EXECUTOR={executor} is not known here: choose {' or '.join(EXECUTORS)}."
            )
        return executor

    def count(self, name: str) -> int:
        """Return how many processes of a kind are wanted, for example by SCHEDULERS=2."""
        text = self.variables.get(name, "1")
        if text.isdecimal() and 1 <= int(text) <= 9:
            return int(text)
        raise LaunchError(f"{name}={text} will not do: give a number from 1 to 9.")

    def _port(self, name: str, default: int) -> int:
        text = self.variables.get(name, str(default))
        if text.isdecimal() and 1024 <= int(text) <= 65535:
            return int(text)
        raise LaunchError(f"{name}={text} is no port: give a number from 1024 to 65535.")

    def environment(self, database: MetadataDatabase) -> dict[str, str]:
        """Return the environment of an Airflow process on that metadata database.

        What the user sets for Airflow wins, except what would lead out of this checkout.
        """
        environment = self._defaults() | self.variables | self._fixed(database)
        if self.uses_local_dbt_cloud:
            bundle = str(self.data / "ca-bundle.pem")
            environment |= dict.fromkeys(TRUSTED, bundle)
            for name in ("NO_PROXY", "no_proxy"):
                environment[name] = f"localhost,127.0.0.1,{environment.get(name, '')}".rstrip(",")
        return environment

    @contextmanager
    def environment_to_look(self, database: MetadataDatabase) -> Iterator[dict[str, str]]:
        """Yield the environment of a process that imports Airflow, looks, and writes no file.

        It may look before a local server has run here, whose authority has no file then.
        """
        environment = self.environment(database)
        if not (self.data / "ca-bundle.pem").exists():
            for name in TRUSTED:
                environment.pop(name, None)
            environment |= {k: v for k, v in self.variables.items() if k in TRUSTED}
        with TemporaryDirectory() as logs:  # Airflow makes this folder when it is imported
            folder = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": logs}
            # What Airflow and its providers say while they are read would hide what is found.
            yield environment | folder | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL"}

    def _defaults(self) -> dict[str, str]:
        return {
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__CORE__EXECUTOR": EXECUTORS[self.executor],
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "8",  # tasks at once; the default of 32 is for servers
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.root / "plugins"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            # The button Test of the UI. Airflow leaves it out, since whoever may press it can have
            # the server call any host; here that is you.
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            # Where Cosmos keeps what dbt has parsed; not in /tmp, which all checkouts share.
            "AIRFLOW__COSMOS__CACHE_DIR": str(self.data / "cosmos"),
            # Seconds until a Dag file is parsed again that has not changed, but perhaps what it
            # imports or reads. With the default of 30 that takes half of what an idle Airflow does.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            # Seconds until a new file is seen, and a changed one, which is parsed at once.
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            # A task asks the API server for a minute, by default for ten seconds: a killed one
            # is not back sooner on a busy machine.
            "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "20",
            "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",  # seconds
            # Seconds until the end of a task's process is noticed, at worst: a deferred task is not
            # resumed before. With the default of 5 a short dbt run would have ended long ago.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "DO_NOT_TRACK": "1",
            # The dbt Cloud provider causes it itself (4.11.1), at the top of each task's log.
            "PYTHONWARNINGS": "ignore:ProvidersManager.hooks is deprecated",
            data_folder.VARIABLE: str(self.data),
        }

    def _fixed(self, database: MetadataDatabase) -> dict[str, str]:
        address = f"http://127.0.0.1:{self.port}"
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "PYTHONPATH": str(self.root),
            "PYTHONUNBUFFERED": "1",
            **database.environment(),
            **{setting: key for setting, name in KEYS.items() if (key := self._key(name))},
        }

    def make_keys(self) -> None:
        """Make the secrets that Airflow needs and that are missing, readable by the owner only."""
        for name in KEYS.values():
            if not self._key(name):
                self.home.mkdir(exist_ok=True)
                flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
                with open(os.open(self._key_file(name), flags, 0o600), "w") as opened:
                    opened.write(urlsafe_b64encode(secrets.token_bytes(32)).decode())

    def _key(self, name: str) -> str:
        """Return the secret of that name; nothing if there is none yet."""
        file = self._key_file(name)
        return file.read_text() if file.exists() else ""  # a full disk leaves an empty file

    def _key_file(self, name: str) -> Path:
        return self.home / f"{name}.key"
