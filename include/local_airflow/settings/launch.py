"""The user's choices, from the environment and ``.env``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_variable import PREFIX
from include.local_airflow.settings.dotenv_file import read_dotenv
from include.local_dbt_cloud.serving import data_folder
from include.local_dbt_cloud.serving.connections import CENSUS, DBT_CLOUD, FIVETRAN

ROOT = Path(__file__).absolute().parents[3]
DATA = "include/.local"
EXECUTORS = {  # the value of EXECUTOR, and the one that Airflow imports
    "LocalExecutor": "include.local_airflow.airflow.executor.LocalExecutor",
    "CeleryExecutor": "CeleryExecutor",
}


@dataclass(frozen=True)
class Launch:
    """The user's choices: first the environment, then ``.env``, then the defaults."""

    variables: dict[str, str]
    root: Path = ROOT

    @classmethod
    def read(cls, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> Launch:
        """Merge ``.env`` and the environment, which wins; an empty value counts as not set.

        An empty connection variable is kept, so that its check can report it.

        Raises:
            LaunchError: ``.env`` is not UTF-8 text.
        """
        dotenv = read_dotenv(root / ".env")
        both = [*dotenv.items(), *environ.items()]
        empty = {key: "" for key, value in both if not value and key.startswith(PREFIX)}
        return cls(empty | {key: value for key, value in both if value}, root)

    @property
    def port(self) -> int:
        """Return the port of Airflow's UI and API."""
        return self._port("PORT", 8080)

    @property
    def dbt_cloud_port(self) -> int:
        """Return the port of the local dbt Cloud."""
        return self._port("DBT_CLOUD_PORT", DBT_CLOUD.port)

    @property
    def uses_local_dbt_cloud(self) -> bool:
        """Return whether no variable names a real account."""
        return DBT_CLOUD.variable not in self.variables

    @property
    def local_token(self) -> str:
        """Return the token of the local dbt Cloud."""
        return self.variables.get("LOCAL_DBT_CLOUD_TOKEN", DBT_CLOUD.password)

    @property
    def database_url(self) -> str:
        """Return the URL of the user's own PostgreSQL; empty for that of this checkout."""
        return self.variables.get("DATABASE_URL", "")

    @property
    def fivetran_census_port(self) -> int:
        """Return the port of the local Fivetran and Census."""
        return self._port("FIVETRAN_CENSUS_PORT", self.dbt_cloud_port + 1)

    @property
    def uses_local_fivetran_census(self) -> bool:
        """Return whether a Dag needs them: a real dbt Cloud cannot read the local warehouse."""
        are_real = self.variables.keys() >= {FIVETRAN.variable, CENSUS.variable}
        return self.uses_local_dbt_cloud and not are_real

    @property
    def home(self) -> Path:
        """Return Airflow's home, with its databases, logs, pid files and keys."""
        return self.root / ".airflow"

    @property
    def data(self) -> Path:
        """Return the data folder of the local dbt Cloud, with the warehouse."""
        return self.root / self.variables.get(data_folder.VARIABLE, DATA)

    @property
    def dags_folder(self) -> Path:
        return Path(self.variables.get("AIRFLOW__CORE__DAGS_FOLDER", self.root / "dags"))

    @property
    def executor(self) -> str:
        """Return the name of the executor of ``make start``."""
        executor = self.variables.get("EXECUTOR", next(iter(EXECUTORS)))
        if executor not in EXECUTORS:
            raise LaunchError(f"EXECUTOR must be {' or '.join(EXECUTORS)} (got {executor}).")
        return executor

    def count(self, name: str) -> int:
        """Return the number of processes of a kind, for example of SCHEDULERS=2."""
        text = self.variables.get(name, "1")
        if text.isdecimal() and 1 <= int(text) <= 9:
            return int(text)
        raise LaunchError(f"{name} must be between 1 and 9 (got {text}).")

    def _port(self, name: str, default: int) -> int:
        text = self.variables.get(name, str(default))
        if text.isdecimal() and 1024 <= int(text) <= 65535:
            return int(text)
        raise LaunchError(f"{name} must be a number between 1024 and 65535 (got {text}).")
