"""How the local servers are reached, as cloned: the facts about Airflow's connections to them.

The servers and the launcher take them from here. airflow_settings.yaml, in_docker.sh and the
compose file repeat them, in formats of their own; a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass

DOCKER_NAME = "local-dbt-cloud"  # of the container with the servers, for the other containers


@dataclass(frozen=True)
class LocalConnection:
    """One of Airflow's connections. The password is public: it is good on this machine only."""

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
        """The environment variable by which Airflow is given another connection."""
        return f"AIRFLOW_CONN_{self.conn_id.upper()}"


DBT_CLOUD = LocalConnection(
    "dbt_cloud_default", "dbt_cloud", 8580, login="16173", password="local-dbt-cloud-token"
)
FIVETRAN = LocalConnection(
    "fivetran_default", "Fivetran", 8581, "local-fivetran-key", "local-fivetran-secret"
)
CENSUS = LocalConnection("census_default", "census", 8581, login="", password="local-census-token")
ALL = (DBT_CLOUD, FIVETRAN, CENSUS)
