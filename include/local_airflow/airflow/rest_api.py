"""The launcher's client for a running Airflow."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

_NAMES = {
    "metadatabase": "api-server",  # a response proves the API server, this entry its database
    "scheduler": "scheduler",
    "dag_processor": "dag-processor",
    "triggerer": "triggerer",
}
COMPONENTS = set(_NAMES.values())


class AirflowApi:
    """Airflow's REST API on a loopback port; most calls require that all users are admins."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between this machine and itself

    def healthy_components(self) -> set[str]:
        """Return the names of the healthy components; none before the API server responds."""
        return {name for name, state in self._health().items() if state["status"] == "healthy"}

    def seconds_since_heartbeat(self, component: str) -> float | None:
        """Return the age of the component's last heartbeat; ``None`` if there is none."""
        state = self._health().get(component, {})
        times = [state[key] for key in state if key.startswith("latest_") and state[key]]
        if not times:
            return None
        return (datetime.now(UTC) - datetime.fromisoformat(times[0])).total_seconds()

    def _health(self) -> dict[str, dict[str, str]]:
        try:
            health = self._get("/api/v2/monitor/health")
        except requests.RequestException:
            return {}
        return {name: health[key] for key, name in _NAMES.items() if health.get(key)}

    def asks_for_login(self) -> bool:
        """Return whether Airflow requires a login, which the launcher does not have."""
        try:
            return not self._token
        except requests.HTTPError as error:
            return error.response.status_code < 500
        except (requests.JSONDecodeError, KeyError):  # a login page
            return True
        except requests.RequestException:
            return False

    def unlisted(self, folder: Path) -> set[str]:
        """Return the Dag files that Airflow lists neither as a Dag nor as an import error."""
        files = {file.name for file in folder.glob("*.py") if _defines_a_dag(file)}
        try:
            dags = self._get("/api/v2/dags?limit=100", signed_in=True)["dags"]
        except requests.RequestException:
            return files
        return files - {dag["relative_fileloc"] for dag in dags} - set(self.import_errors())

    def import_errors(self) -> dict[str, str]:
        """Return the last traceback line of each Dag file with an import error."""
        try:
            errors = self._get("/api/v2/importErrors?limit=100", signed_in=True)["import_errors"]
        except requests.RequestException:
            return {}
        return {
            Path(error["filename"]).name: error["stack_trace"].strip().splitlines()[-1]
            for error in errors
        }

    def connection(self, conn_id: str) -> dict[str, Any] | None:
        """Return a connection of Airflow's database, with a masked password, or ``None``."""
        try:
            return self._get(f"/api/v2/connections/{conn_id}", signed_in=True)
        except requests.RequestException:
            return None

    def store_connection(self, conn_id: str, **fields: str) -> None:
        """Create a connection in Airflow's database, or overwrite it."""
        connection = {"connection_id": conn_id, **fields}
        action = {"action": "create", "action_on_existence": "overwrite", "entities": [connection]}
        self._call("PATCH", "/api/v2/connections", json={"actions": [action]}, signed_in=True)

    @cached_property
    def _token(self) -> str:
        return str(self._get("/auth/token")["access_token"])

    def _get(self, path: str, signed_in: bool = False) -> dict[str, Any]:
        return self._call("GET", path, signed_in=signed_in)

    def _call(
        self, method: str, path: str, json: Any = None, signed_in: bool = False
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if signed_in else {}
        address = self._address + path
        response = self._session.request(method, address, json=json, headers=headers, timeout=10)
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        return body


def _defines_a_dag(file: Path) -> bool:
    """Return whether the file defines a Dag; Airflow also parses helper modules."""
    return re.search(r"^@dag\b|\bDAG\(", file.read_text(errors="replace"), re.MULTILINE) is not None
