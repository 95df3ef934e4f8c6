"""Schemas of the other stored resources (CONTRACT.md, section 3.13)."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, RootModel
from sqlalchemy.orm import Session

from ..storage.resources import environments_with, find_resource, make_public_key, parts_of
from ..storage.schemas import Id, Name, Schema
from ..storage.tables import ResourceRow
from .permissions import PERMISSION_SETS
from .stored_schemas import Refers, Secret, Settings, Stored, StoredInProject, Text, Texts

Ids = Annotated[list[Id], Field(default_factory=list)]
HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "ado": "dev.azure.com"}


def numbered(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of one resource with ids, which count within the resource."""
    return [{"id": number, **part} for number, part in enumerate(parts, 1)]


class ExtendedAttributes(StoredInProject):
    extended_attributes: dict[str, Any]


class Profile(StoredInProject):
    key: Name
    connection_id: Annotated[Id, Refers("connection")]
    credentials_id: Annotated[Id, Refers("credentials")]
    extended_attributes_id: Annotated[Id | None, Refers("extended_attributes")] = None

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        bound = environments_with(session, "primary_profile_id", row.id)
        keys = "id", "name", "type", "deployment_type"
        bindings = [{key: one.definition[key] for key in keys} for one in bound]
        return {"primary_bindings": bindings, "catalog_bindings": []}


class Repository(StoredInProject):
    remote_url: Text
    git_clone_strategy: Literal[
        "azure_active_directory_app", "deploy_key", "deploy_token", "github_app", "git_token"
    ] = "deploy_key"
    remote_backend: Text | None = None
    full_name: Text | None = None
    azure_active_directory_project_id: Text | None = None
    azure_active_directory_repository_id: Text | None = None
    github_installation_id: int | None = None
    gitlab_project_id: int | None = None
    private_link_endpoint_id: Text | None = None
    pull_request_url_template: Text = ""
    repository_credentials_id: int | None = None

    def made(self, before: Mapping[str, Any]) -> dict[str, Any]:
        backend = next((name for name, host in HOSTS.items() if host in self.remote_url), None)
        path = re.sub(r"^.*?://[^/]*/|^.*?:|\.git$", "", self.remote_url)
        return {
            "remote_backend": self.remote_backend or backend or "manual_config",
            "full_name": self.full_name or path,
            "public_key": before.get("public_key") or make_public_key(),
        }

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        key = {"id": row.id, "account_id": row.account_id, "state": row.state}
        return {
            "deploy_key_id": row.id,
            "deploy_key": key | {"public_key": row.definition["public_key"]},
        }


def known_permission_set(name: str) -> str:
    """Return the name unchanged; raise ValueError if dbt Cloud has no such permission set."""
    if name not in PERMISSION_SETS:
        raise ValueError(f"must be one of {', '.join(sorted(PERMISSION_SETS))}")
    return name


class Grant(StoredInProject):
    """A permission set of a group or a service token, in one project or in all."""

    permission_set: Annotated[str, AfterValidator(known_permission_set)]
    all_projects: Annotated[bool | None, Field(exclude=True)] = None
    writable_environment_categories: Texts


class Grants(RootModel[list[Grant]]):
    """All permissions of one group or service token."""


def grant_payload(row: ResourceRow, owner: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        owner: row.owner_id,
        "project_id": row.project_id,
        "all_projects": row.project_id is None,
        **row.definition,
        "state": row.state,
    }


class Group(Stored):
    name: Name
    assign_by_default: bool = False
    sso_mapping_groups: Texts
    scim_managed: bool = False

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        rows = parts_of(session, "group_permission", row.id)
        return {"group_permissions": [grant_payload(one, "group_id") for one in rows]}


class ServiceToken(Stored):
    name: Name
    permission_grants: list[Grant] = Field(default_factory=list, exclude=True)

    def made(self, before: Mapping[str, Any]) -> dict[str, Any]:
        return {"uid": before.get("uid") or f"dbts_{secrets.token_hex(8)}"}


class ScimToken(Stored):
    name: Name
    last_used: Text | None = None


class LicenseMap(Stored):
    license_type: Literal["developer", "read_only", "analyst", "it"]
    sso_license_mapping_groups: Texts


def network(text: str) -> str:
    """Return the text unchanged; raise ValueError unless it is a range of addresses."""
    ipaddress.ip_network(text, strict=False)
    return text


class Range(Schema):
    cidr: Annotated[str, AfterValidator(network)]


class IpRule(Stored):
    name: Name
    type: Literal[1, 2]  # allow, deny
    description: Text = ""
    rule_set_enabled: bool = False
    cidrs: list[Range] = Field(default_factory=list)

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        return {"cidrs": numbered(row.definition["cidrs"])}


class EntraData(Schema):
    application_id_uri: Text


class OAuthConfiguration(Stored):
    type: Text
    name: Name
    client_id: Text = ""
    client_secret: Secret = None
    authorize_url: Text = ""
    token_url: Text = ""
    redirect_uri: Text = ""
    extra_data: EntraData | None = None


class Notification(Stored):
    user_id: Id
    type: Literal[1, 2, 3, 4]
    external_email: Text | None = None
    slack_channel_id: Text | None = None
    slack_channel_name: Text | None = None
    on_cancel: Ids
    on_failure: Ids
    on_success: Ids
    on_warning: Ids


class Channel(Schema):
    channel_type: Text
    teams_team_id: Text | None = None
    teams_channel_id: Text | None = None


class Rule(Schema):
    trigger_on: Text
    job_id: Id | None = None


class NotificationSetting(Stored):
    name: Name
    description: Text | None = None
    is_active: bool = True
    channels: list[Channel] = Field(default_factory=list)
    rules: list[Rule] = Field(default_factory=list)

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        return {name: numbered(row.definition[name]) for name in ("channels", "rules")}


class SemanticLayerConfiguration(StoredInProject):
    environment_id: Annotated[Id, Refers("environment")]


class SemanticLayerCredentials(StoredInProject):
    project_id: Annotated[Id, Refers("project"), Field(exclude=True)]
    name: Name
    adapter_version: Text
    schema_type: Literal["semantic_layer_credentials"] = "semantic_layer_credentials"
    values: Settings


class ServiceTokenMapping(StoredInProject):
    """Semantic layer credentials that a service token uses."""

    project_id: Annotated[Id, Refers("project"), Field(exclude=True)]
    semantic_layer_credentials_id: Annotated[Id, Refers("semantic_layer_credentials")]
    service_token_id: Annotated[Id, Refers("service_token")]


class MetadataCredentials(Stored):
    connection_id: Annotated[Id, Refers("connection")]
    catalog_ingestion_enabled: bool = False
    cost_optimization_enabled: bool = False
    cost_insights_enabled: bool = False
    config: Settings

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        connection = find_resource(session, "connection", row.definition["connection_id"])
        adapter = connection.definition["adapter_version"] if connection else None
        return {"adapter_version": adapter}


class LineageConfig(Schema):
    host: Text = ""
    site_id: Text = ""
    token_name: Text = ""
    token: Secret = None


class LineageIntegration(StoredInProject):
    name: Text
    config: LineageConfig = LineageConfig()


class OpenAi(Stored):
    key_type: Text
    key_value: Secret = None
    azure_endpoint: Text | None = None
    azure_deployment_name: Text | None = None
    azure_api_version: Text | None = None


class AuthProvider(Stored):
    type: Text
    slug: Text = ""
    allow_password_backdoor: bool = False
    entity_id: Text | None = None
    sso_url: Text | None = None
    cert: Text | None = None
    sign_request: bool | None = None
    attribute_map: Text | None = None
    client_id: Text | None = None
    client_secret: Secret = None
    tenant_id: Text | None = None
    domain: Text | None = None
    include_indirect_groups: bool | None = None
    max_groups_to_retrieve: int | None = None
    gsuite_admin_id: Text | None = None
    authorization_url: Text | None = None
    admin_refresh_token: Secret = None


class AzureApplication(Stored):
    organization_name: Text
    client_id: Text | None = None
    client_secret: Secret = None
    tenant_id: Text | None = None
    azure_service_authentication_method: Text = "service_user"
    oauth_redirect_uri_domain: Text | None = None


class ScimConfig(Stored):
    enabled: bool = False
    manual_updates_allowed: bool = False
    scim_controlled_license_type: bool = False


class ModelNotifications(Stored):
    enabled: bool = False
    on_success: bool = False
    on_failure: bool = False
    on_warning: bool = False
    on_skipped: bool = False


class CatalogConfig(Stored):
    database_allow: list[Text] | None = None
    database_deny: list[Text] | None = None
    schema_allow: list[Text] | None = None
    schema_deny: list[Text] | None = None
    table_allow: list[Text] | None = None
    table_deny: list[Text] | None = None
    view_allow: list[Text] | None = None
    view_deny: list[Text] | None = None
