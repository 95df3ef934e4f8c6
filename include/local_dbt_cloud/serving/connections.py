"""Addresses and credentials of the local servers, as in Airflow's connections to them.

The servers and the launcher import them. airflow_settings.yaml, in_docker.sh and the compose file
repeat them in their own formats; a test compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

TRUSTED = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")  # what requests trusts; aiohttp, httpx and Go
DOCKER_NAME = "local-dbt-cloud"  # of the container with the servers, for the other containers


@dataclass(frozen=True)
class LocalConnection:
    """An Airflow connection. The password is public: it is only valid on this machine."""

    conn_id: str
    conn_type: str
    port: int
    login: str
    password: str

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def variable(self) -> str:
        """Return the environment variable that replaces this connection in Airflow."""
        return f"AIRFLOW_CONN_{self.conn_id.upper()}"


DBT_CLOUD = LocalConnection(
    "dbt_cloud_default", "dbt_cloud", 8580, login="16173", password="local-dbt-cloud-token"
)
FIVETRAN = LocalConnection(
    "fivetran_default", "Fivetran", 8581, "local-fivetran-key", "local-fivetran-secret"
)
CENSUS = LocalConnection("census_default", "census", 8581, login="", password="local-census-token")
ALL = (DBT_CLOUD, FIVETRAN, CENSUS)


def dbt_cloud_connection(host: str, account_id: int, token: str) -> str:
    """Return Airflow's connection to a local dbt Cloud, as the value of ``AIRFLOW_CONN_…``."""
    login = {"login": f"{account_id}", "password": token}
    return json.dumps({"conn_type": DBT_CLOUD.conn_type, "host": host, **login})
