"""Connections of an account: one schema for each adapter (CONTRACT.md, section 3.11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, create_model
from sqlalchemy.orm import Session

from ..storage.resources import environments_with, make_public_key
from ..storage.schemas import Id, Name, Schema
from ..storage.tables import ResourceRow
from .stored_schemas import Refers, Secret, Stored, Text

ODBC_DRIVER = "ODBC Driver 18 for SQL Server"


class Snowflake(Schema):
    account: Text
    database: Text
    warehouse: Text
    client_session_keep_alive: bool = False
    role: Text | None = None
    allow_sso: bool = False
    oauth_client_id: Secret = None
    oauth_client_secret: Secret = None


class BigQuery(Schema):
    project_id: Text
    private_key_id: Text | None = None
    private_key: Secret = None
    client_email: Text | None = None
    client_id: Text | None = None
    auth_uri: Text | None = None
    token_uri: Text | None = None
    auth_provider_x509_cert_url: Text | None = None
    client_x509_cert_url: Text | None = None
    timeout_seconds: int | None = None
    job_execution_timeout_seconds: int | None = None
    priority: Literal["interactive", "batch"] | None = None
    scopes: list[Text] | None = None
    location: Text | None = None
    maximum_bytes_billed: int | None = None
    execution_project: Text | None = None
    impersonate_service_account: Text | None = None
    retries: int = 1
    job_retry_deadline_seconds: int | None = None
    job_creation_timeout_seconds: int | None = None
    application_id: Secret = None
    application_secret: Secret = None
    gcs_bucket: Text | None = None
    dataproc_region: Text | None = None
    dataproc_cluster_name: Text | None = None
    deployment_env_auth_type: Text | None = None


class Databricks(Schema):
    host: Text
    http_path: Text
    catalog: Text | None = None
    client_id: Secret = None
    client_secret: Secret = None


class Postgres(Schema):
    hostname: Text
    dbname: Text
    port: int = 5432
    retries: int | None = None


class Redshift(Postgres):
    port: int = 5439


class SqlServer(Schema):
    database: Text
    driver: Text = ODBC_DRIVER
    port: int = 1433
    retries: int = 1
    login_timeout: int = 0
    query_timeout: int = 0


class Synapse(SqlServer):
    host: Text


class Fabric(SqlServer):
    server: Text


class Trino(Schema):
    host: Text
    method: Text = "ldap"
    port: int = 443


class Athena(Schema):
    region_name: Text
    database: Text
    s3_staging_dir: Text
    work_group: Text | None = None
    spark_work_group: Text | None = None
    s3_data_dir: Text | None = None
    s3_data_naming: Text | None = None
    s3_tmp_table_dir: Text | None = None
    poll_interval: int | None = None
    num_retries: int | None = None
    num_boto3_retries: int | None = None
    num_iceberg_retries: int | None = None


class ApacheSpark(Schema):
    host: Text
    cluster: Text
    method: Literal["http", "thrift"] = "http"
    port: int = 443
    connect_timeout: int = 10
    connect_retries: int = 0
    organization: Text | None = None
    user: Text | None = None
    auth: Text | None = None


class DatabricksSpark(Schema):
    host: Text
    method: Literal["odbc"] = "odbc"
    port: int = 443
    cluster: Text = ""
    endpoint: Text = ""
    organization: Text = ""
    user: Text = ""


class Teradata(Schema):
    host: Text
    port: Text | None = None
    tmode: Text = "ANSI"
    retries: int | None = None
    request_timeout: int | None = None


class Salesforce(Schema):
    login_url: Text
    database: Text = "default"
    data_transform_run_timeout: int = 180_000


CONFIGS: Mapping[str, type[Schema]] = {
    "apache_spark_v0": ApacheSpark,
    "athena_v0": Athena,
    "bigquery_v0": BigQuery,
    "bigquery_v1": BigQuery,
    "databricks_spark_v0": DatabricksSpark,
    "databricks_v0": Databricks,
    "fabric_v0": Fabric,
    "postgres_v0": Postgres,
    "redshift_v0": Redshift,
    "salesforce_v0": Salesforce,
    "snowflake_v0": Snowflake,
    "synapse_v0": Synapse,
    "teradata_v0": Teradata,
    "trino_v0": Trino,
}


def known_adapter(name: str) -> str:
    """Return the name unchanged; raise ValueError if dbt Cloud has no such adapter."""
    if name not in CONFIGS:
        raise ValueError(f"must be one of {', '.join(CONFIGS)}")
    return name


class Connection(Stored):
    name: Name
    adapter_version: Annotated[str, AfterValidator(known_adapter)]
    config: dict[str, Any]
    is_ssh_tunnel_enabled: bool = False
    private_link_endpoint_id: Text | None = None
    oauth_configuration_id: Annotated[Id | None, Refers("oauth_configuration")] = None

    @classmethod
    def variant(cls, values: Mapping[str, Any]) -> type[Connection]:
        return CONNECTIONS.get(str(values.get("adapter_version")), cls)

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        return {"environment__count": len(environments_with(session, "connection_id", row.id))}


CONNECTIONS: Mapping[str, type[Connection]] = {
    adapter: create_model(f"{config.__name__}Connection", __base__=Connection, config=config)
    for adapter, config in CONFIGS.items()
}


class Encryption(Stored):
    """The SSH tunnel of a connection; the server makes its key pair."""

    connection_id: Annotated[Id, Refers("connection")]
    username: Text
    hostname: Text
    port: int = Field(22, ge=1, le=65535)
    private_key: Secret = None

    def made(self, before: Mapping[str, Any]) -> dict[str, Any]:
        return {"public_key": before.get("public_key") or make_public_key()}
