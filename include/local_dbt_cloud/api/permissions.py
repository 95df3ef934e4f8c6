"""What a service token may do: permission sets and areas (CONTRACT.md, section 3.14)."""

from __future__ import annotations

from collections.abc import Iterable

ACCOUNT_AREAS = (
    "account",
    "security",
    "connections",
    "groups",
    "licenses",
    "members",
    "new_projects",
    "service_tokens",
    "webhooks",
)
PROJECT_AREAS = (
    "credentials",
    "variables",
    "environments",
    "jobs",
    "projects",
    "repositories",
    "runs",
    "semantic_layer",
)

# For each area of the account, then of a project: W(rite) includes R(ead), and - is neither.
LEVELS = {
    "account_admin": "WWWWWWWWW WWWWWWWW",
    "account_viewer": "RR-RRR-R- RRRRRRRR",
    "admin": "R-RRWW--W WWWWWWWW",
    "analyst": "--R-R---- WWRRW-RR",
    "database_admin": "R-RRRR--- WWRRWRRW",
    "developer": "--RRRR--W WWRRWRRR",
    "git_admin": "R-RRRR--- RWRRWWRR",
    "job_admin": "--R-R---- WWWWR-WR",
    "job_runner": "--------- ---R--W-",
    "job_viewer": "----R---- -RRRR-R-",
    "member": "R-RRRW--- WWWWWWWW",
    "owner": "WWWWWWWWW WWWWWWWW",
    "project_creator": "R-WRWWW-- WWWWWWWW",
    "readonly": "--------- --RRR-R-",
    "security_admin": "RW-WWW-R- ----R---",
    "semantic_layer_only": "--------- -------W",
    "stakeholder": "--RR-R--- RRRRRRRR",
    "team_admin": "R-RRRR--- RWRRWRRR",
    "webhooks_only": "--------W --------",
}
# These exist in dbt Cloud, and allow no call of this server.
WITHOUT_CALLS = (
    "analyst_read",
    "billing_admin",
    "cost_insights_admin",
    "cost_insights_viewer",
    "cost_management_admin",
    "cost_management_viewer",
    "fusion_admin",
    "job_creator",
    "manage_marketplace_apps",
    "metadata_only",
    "notification_manager",
    "scim_only",
)
PERMISSION_SETS = frozenset(LEVELS) | frozenset(WITHOUT_CALLS)

# The last known segment of a URL names the area.
SEGMENTS = {
    "artifacts": "runs",
    "assign-groups": "members",
    "auth-provider": "security",
    "azure-ad-applications": "account",
    "connections": "connections",
    "credentials": "credentials",
    "encryptions": "connections",
    "environment-variables": "variables",
    "environments": "environments",
    "extended-attributes": "credentials",
    "group-permissions": "groups",
    "groups": "groups",
    "integrations": "account",
    "ip-restrictions": "security",
    "jobs": "jobs",
    "license-maps": "licenses",
    "lineage": "projects",
    "model-notifications": "account",
    "notification-settings": "account",
    "notifications": "account",
    "oauth-configurations": "account",
    "platform-metadata-credentials": "connections",
    "profiles": "credentials",
    "projects": "projects",
    "repositories": "repositories",
    "rerun": "runs",
    "run": "runs",
    "runs": "runs",
    "scim-config": "security",
    "semantic-layer-configurations": "semantic_layer",
    "semantic-layer-credential-to-service-token-mapping": "semantic_layer",
    "semantic-layer-credentials": "semantic_layer",
    "service-tokens": "service_tokens",
    "steps": "runs",
    "users": "members",
    "webhooks": "webhooks",
}


def area_of(method: str, path: str) -> str | None:
    """Return the area of a call; None for the account itself, which every token can read."""
    if method == "POST" and path.endswith("/projects"):
        return "new_projects"
    return next((SEGMENTS[part] for part in reversed(path.split("/")) if part in SEGMENTS), None)


def allows(permission_set: str, area: str, writes: bool) -> bool:
    levels = LEVELS.get(permission_set, "").replace(" ", "")
    level = dict(zip(ACCOUNT_AREAS + PROJECT_AREAS, levels, strict=False)).get(area, "-")
    return level == "W" or (level == "R" and not writes)


def projects_granted(
    grants: Iterable[tuple[str, int | None]], area: str, writes: bool
) -> frozenset[int | None]:
    """Return the projects of the grants (set, project) that allow a call; None is every project."""
    return frozenset(project for name, project in grants if allows(name, area, writes))
