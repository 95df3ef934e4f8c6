"""Credentials of a project: one schema for each type (CONTRACT.md, section 3.12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from ..storage.schemas import Schema
from ..storage.tables import ResourceRow
from .stored_schemas import SECRET_NAME, Secret, StoredInProject, Text, Texts


class Credentials(StoredInProject):
    @classmethod
    def variant(cls, values: Mapping[str, Any]) -> type[Credentials]:
        return CREDENTIALS.get(str(values.get("type")), cls)

    type: Literal["postgres", "redshift", "snowflake", "bigquery", "adapter"]
    threads: int = Field(4, ge=0)
    target_name: Text = "default"
    adapter_version: Text | None = None


class SnowflakeCredentials(Credentials):
    auth_type: Literal["password", "keypair", "sso", "external_oauth"]
    schema_name: Text = Field(alias="schema")
    user: Text = ""
    role: Text = ""
    database: Text = ""
    warehouse: Text = ""
    password: Secret = None
    private_key: Secret = None
    private_key_passphrase: Secret = None


class PostgresCredentials(Credentials):
    username: Text
    default_schema: Text
    password: Secret = None


class RedshiftCredentials(Credentials):
    auth_type: Literal["password", "external_oauth"] = "password"
    username: Text = ""
    default_schema: Text
    password: Secret = None


class BigQueryCredentials(Credentials):
    schema_name: Text = Field(alias="schema")


class CredentialField(Schema):
    """A field of an adapter's form; ``metadata.encrypt`` marks a secret."""

    metadata: dict[str, Any] = Field(default_factory=dict)
    value: Any = None


class CredentialDetails(Schema):
    fields: dict[str, CredentialField]
    field_order: Texts

    @model_validator(mode="after")
    def without_secrets(self) -> Self:
        for name, one in self.fields.items():
            if name not in self.plain:
                one.value = None
        return self

    @property
    def plain(self) -> dict[str, Any]:
        """Return the values that are not secret."""
        return {
            name: one.value
            for name, one in self.fields.items()
            if not one.metadata.get("encrypt") and not SECRET_NAME.search(name)
        }


class AdapterCredentials(Credentials):
    """Credentials of all other adapters, as a form whose values each have a description."""

    adapter_version: Text
    credential_details: CredentialDetails

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        details = CredentialDetails.model_validate(row.definition["credential_details"])
        return {"unencrypted_credential_details": details.plain}


CREDENTIALS: Mapping[str, type[Credentials]] = {
    "adapter": AdapterCredentials,
    "bigquery": BigQueryCredentials,
    "postgres": PostgresCredentials,
    "redshift": RedshiftCredentials,
    "snowflake": SnowflakeCredentials,
}
