"""The table of stored resources: to serve another kind, add its schema and a line here."""

from __future__ import annotations

from . import resource_schemas as schemas
from .connection_schemas import Connection, Encryption
from .credential_schemas import Credentials
from .handlers.grants import GrantList
from .handlers.resources import Resources
from .handlers.service_tokens import ScimTokens, ServiceTokens
from .handlers.settings import Setting

V2 = "/api/v2/accounts/{account_id}"
V3 = "/api/v3/accounts/{account_id}"
PRIVATE = "/api/private/accounts/{account_id}"  # not documented, but clients use it
PROJECT = f"{V3}/projects/{{project_id}}"

PATCH, PUT = ("PATCH",), ("PUT",)

GROUPS = Resources("group", f"{V3}/groups", schemas.Group)
SERVICE_TOKENS = ServiceTokens(
    "service_token",
    f"{V3}/service-tokens",
    schemas.ServiceToken,
    has_effect=True,
)
RESOURCES = (
    Resources("connection", f"{V3}/connections", Connection, PATCH),
    Resources("encryption", f"{V2}/encryptions", Encryption, filters=("connection_id",)),
    Resources("credentials", f"{PROJECT}/credentials", Credentials, ("POST", "PATCH")),
    Resources("profile", f"{PROJECT}/profiles", schemas.Profile, PATCH),
    Resources(
        "extended_attributes",
        f"{PROJECT}/extended-attributes",
        schemas.ExtendedAttributes,
        PATCH,
        has_effect=True,
    ),
    Resources("repository", f"{PROJECT}/repositories", schemas.Repository),
    Resources(
        "semantic_layer_configuration",
        f"{PROJECT}/semantic-layer-configurations",
        schemas.SemanticLayerConfiguration,
    ),
    Resources(
        "semantic_layer_credentials",
        f"{V3}/semantic-layer-credentials",
        schemas.SemanticLayerCredentials,
    ),
    Resources(
        "service_token_mapping",
        f"{V3}/semantic-layer-credential-to-service-token-mapping",
        schemas.ServiceTokenMapping,
    ),
    Resources(
        "lineage_integration",
        f"{PROJECT}/integrations/lineage",
        schemas.LineageIntegration,
        PATCH,
    ),
    GROUPS,
    SERVICE_TOKENS,
    Resources("license_map", f"{V3}/license-maps", schemas.LicenseMap),
    Resources("ip_rule", f"{V3}/ip-restrictions", schemas.IpRule, PUT),
    Resources("oauth_configuration", f"{V3}/oauth-configurations", schemas.OAuthConfiguration),
    Resources("auth_provider", f"{V3}/auth-provider", schemas.AuthProvider),
    Resources("azure_ad_application", f"{V3}/azure-ad-applications", schemas.AzureApplication),
    Resources("notification", f"{V2}/notifications", schemas.Notification),
    Resources(
        "notification_setting",
        f"{PRIVATE}/notification-settings",
        schemas.NotificationSetting,
        PATCH,
    ),
    Resources(
        "metadata_credentials",
        f"{V3}/platform-metadata-credentials",
        schemas.MetadataCredentials,
        PATCH,
    ),
    Resources("openai_integration", f"{V3}/integrations/open-ai", schemas.OpenAi, PATCH),
    ScimTokens("scim_token", f"{V3}/scim-config/tokens", schemas.ScimToken, ()),
)
GRANTS = (
    GrantList(GROUPS, "group_permission", "group_id", f"{V3}/group-permissions/{{resource_id}}"),
    GrantList(
        SERVICE_TOKENS,
        "service_token_permission",
        "service_token_id",
        f"{V3}/service-tokens/{{resource_id}}/permissions",
    ),
)
SETTINGS = (
    Setting("scim_config", f"{V3}/scim-config", schemas.ScimConfig, "POST"),
    Setting(
        "catalog_config",
        f"{V3}/connections/{{connection_id}}/catalog-configs",
        schemas.CatalogConfig,
        "PATCH",
        owner="connection",
    ),
    Setting(
        "model_notifications",
        f"{V3}/environments/{{environment_id}}/model-notifications",
        schemas.ModelNotifications,
        "POST",
        owner="environment",
    ),
)
