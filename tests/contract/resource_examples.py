"""A body for every kind of stored resource, with the ids of others where it needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from include.local_dbt_cloud.api.handlers.resources import Resources
from include.local_dbt_cloud.api.kinds import RESOURCES
from tests.bundled import ACCOUNT_ID

SECRET = "tell-no-one-4711"
KINDS = {kind.kind: kind for kind in RESOURCES}


@dataclass(frozen=True)
class Example:
    """``body`` returns the fields of a resource, and gets ``make``, which creates others.

    ``wrong`` are fields that make it invalid, and the first of them is the one to be named.
    """

    body: Callable[[Callable[[str], int], int], dict[str, Any]]
    change: dict[str, Any]
    wrong: dict[str, Any]


SNOWFLAKE = {"account": "a", "database": "d", "warehouse": "w", "oauth_client_secret": SECRET}
FIELD = {"metadata": {"encrypt": False}, "value": "analytics"}
ADAPTER_FIELDS = {
    "schema": FIELD,
    "client_id": {"metadata": {"encrypt": True}, "value": SECRET},
    "token": {"value": SECRET},
}
MAPPING = "semantic_layer_credentials_id", "service_token_id"

EXAMPLES = {
    "connection": Example(
        lambda make, project: {
            "name": "Snowflake",
            "adapter_version": "snowflake_v0",
            "config": SNOWFLAKE,
        },
        {"name": "Renamed", "config": {"role": "transformer"}},
        {"config": {"account": 1}},
    ),
    "encryption": Example(
        lambda make, project: {
            "connection_id": make("connection"),
            "username": "tunnel",
            "hostname": "bastion",
            "private_key": SECRET,
        },
        {"port": 2222},
        {"connection_id": 7},
    ),
    "credentials": Example(
        lambda make, project: {
            "type": "adapter",
            "adapter_version": "databricks_v0",
            "credential_details": {"fields": ADAPTER_FIELDS, "field_order": []},
        },
        {"threads": 8},
        {"credential_details": {"fields": []}},
    ),
    "profile": Example(
        lambda make, project: {
            "key": "production",
            "connection_id": make("connection"),
            "credentials_id": make("credentials"),
        },
        {"key": "staging"},
        {"credentials_id": 7},
    ),
    "extended_attributes": Example(
        lambda make, project: {"extended_attributes": {"threads": 2, "settings": {"a": 1}}},
        {"extended_attributes": {"threads": 3}},
        {"extended_attributes": []},
    ),
    "repository": Example(
        lambda make, project: {"remote_url": "git@github.com:dbt-labs/jaffle_shop.git"},
        {"remote_url": "git@github.com:dbt-labs/other.git"},
        {"git_clone_strategy": "carrier pigeon"},
    ),
    "semantic_layer_configuration": Example(
        lambda make, project: {"environment_id": make("environment")},
        {},
        {"environment_id": 7},
    ),
    "semantic_layer_credentials": Example(
        lambda make, project: {
            "project_id": project,
            "name": "layer",
            "adapter_version": "snowflake_v0",
            "values": {"user": "u", "password": SECRET},
        },
        {"name": "other layer"},
        {"name": ""},
    ),
    "service_token_mapping": Example(
        lambda make, project: {
            "project_id": project,
            MAPPING[0]: make("semantic_layer_credentials"),
            MAPPING[1]: make("service_token"),
        },
        {},
        {"service_token_id": 7},
    ),
    "lineage_integration": Example(
        lambda make, project: {
            "name": "tableau",
            "config": {"host": "tableau.example", "token_name": "t", "token": SECRET},
        },
        {"config": {"host": "other.example"}},
        {"config": {"host": 1}},
    ),
    "group": Example(
        lambda make, project: {"name": "Analysts", "sso_mapping_groups": ["a"]},
        {"assign_by_default": True},
        {"assign_by_default": "perhaps"},
    ),
    "service_token": Example(
        lambda make, project: {"name": "CI"}, {"name": "Nightly"}, {"name": ""}
    ),
    "license_map": Example(
        lambda make, project: {"license_type": "developer"},
        {"sso_license_mapping_groups": ["a", "b"]},
        {"license_type": "pilot"},
    ),
    "ip_rule": Example(
        lambda make, project: {"name": "Office", "type": 1, "cidrs": [{"cidr": "10.0.0.0/8"}]},
        {"description": "Headquarters"},
        {"type": 3},
    ),
    "oauth_configuration": Example(
        lambda make, project: {"type": "okta", "name": "Okta", "client_secret": SECRET},
        {"token_url": "https://okta.example/token"},
        {"type": 1},
    ),
    "auth_provider": Example(
        lambda make, project: {"type": "saml", "slug": "shop", "client_secret": SECRET},
        {"slug": "jaffle"},
        {"slug": 1},
    ),
    "azure_ad_application": Example(
        lambda make, project: {"organization_name": "shop", "client_secret": SECRET},
        {"tenant_id": "t"},
        {"organization_name": 1},
    ),
    "notification": Example(
        lambda make, project: {"user_id": 1, "type": 1, "on_failure": [65767]},
        {"on_success": [65767]},
        {"type": 9},
    ),
    "notification_setting": Example(
        lambda make, project: {"name": "Alerts", "rules": [{"trigger_on": "job.errored"}]},
        {"is_active": False},
        {"rules": [{}]},
    ),
    "metadata_credentials": Example(
        lambda make, project: {
            "connection_id": make("connection"),
            "config": {"user": "u", "private_key": SECRET},
        },
        {"catalog_ingestion_enabled": True},
        {"connection_id": 7},
    ),
    "openai_integration": Example(
        lambda make, project: {"key_type": "openai", "key_value": SECRET},
        {"azure_endpoint": "https://openai.example"},
        {"key_type": 1},
    ),
    "scim_token": Example(lambda make, project: {"name": "Okta"}, {}, {"name": ""}),
}


@dataclass(frozen=True)
class Workspace:
    """A project of its own, in which a test creates resources."""

    api: httpx.Client
    project: int

    def url(self, kind: Resources) -> str:
        return kind.path.format(account_id=ACCOUNT_ID, project_id=self.project)[len("/api/") :]

    def make(self, name: str) -> int:
        """Create an environment or a stored resource, and return its id."""
        if name == "environment":
            home = f"v3/accounts/{ACCOUNT_ID}/projects/{self.project}/environments/"
            response = self.api.post(home, json={"name": "Production"})
        else:
            response = self.api.post(f"{self.url(KINDS[name])}/", json=self.body(name))
        assert response.status_code == 201, response.text
        made: int = response.json()["data"]["id"]
        return made

    def body(self, name: str) -> dict[str, Any]:
        return EXAMPLES[name].body(self.make, self.project)
