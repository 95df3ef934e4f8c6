"""The few questions that the launcher asks a running Airflow."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import requests

_COMPONENTS = {
    "metadatabase": "api-server",  # the answer itself proves the API server, this its database
    "scheduler": "scheduler",
    "dag_processor": "dag-processor",
    "triggerer": "triggerer",
}


class AirflowApi:
    """Airflow's REST API on a loopback port, where everyone is admin."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between this machine and itself

    def healthy_components(self) -> set[str]:
        """Return the names of the components that say they are healthy; none before it answers."""
        try:
            health = self._get("/api/v2/monitor/health")
        except requests.RequestException:
            return set()
        return {
            name
            for key, name in _COMPONENTS.items()
            if (health.get(key) or {}).get("status") == "healthy"
        }

    def has_parsed(self, folder: Path) -> bool:
        """Tell whether every Dag file of the folder has become a Dag or an import error."""
        try:
            dags = self._get("/api/v2/dags?limit=100", signed_in=True)["dags"]
        except requests.RequestException:
            return False
        parsed = {dag["relative_fileloc"] for dag in dags} | set(self.import_errors())
        return {file.name for file in folder.glob("*.py") if _holds_a_dag(file)} <= parsed

    def import_errors(self) -> dict[str, str]:
        """Return the last line of the traceback for each Dag file that cannot be imported."""
        try:
            errors = self._get("/api/v2/importErrors?limit=100", signed_in=True)["import_errors"]
        except requests.RequestException:
            return {}
        return {
            Path(error["filename"]).name: error["stack_trace"].strip().splitlines()[-1]
            for error in errors
        }

    @cached_property
    def _token(self) -> str:
        return str(self._get("/auth/token")["access_token"])

    def _get(self, path: str, signed_in: bool = False) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if signed_in else {}
        response = self._session.get(self._address + path, headers=headers, timeout=10)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def _holds_a_dag(file: Path) -> bool:
    """Airflow's own rule for the files it parses: those with both words in them."""
    text = file.read_text(errors="replace").lower()
    return "dag" in text and "airflow" in text
