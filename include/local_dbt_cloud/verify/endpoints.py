"""The read-only endpoints to compare, and the ids in their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..api.handlers.resources import Resources
from ..api.kinds import GRANTS, RESOURCES, V2, V3
from ..api.routes import ROUTES
from .calls import Answer, DbtCloud

RELATED = "include_related"
NEWEST = {"limit": "20", "order_by": "-id"}
# Parameters that make an answer show more.
PARAMS: Mapping[str, Mapping[str, str]] = {
    f"{V2}/runs": {**NEWEST, RELATED: '["trigger","job","environment","run_steps"]'},
    f"{V2}/runs/{{run_id}}": {RELATED: '["trigger","job","environment","run_steps"]'},
    f"{V2}/jobs": {RELATED: '["environment","most_recent_run","custom_environment_variables"]'},
    f"{V2}/jobs/{{job_id}}": {RELATED: '["environment","most_recent_run"]'},
}
# Where the first id of a kind comes from.
SOURCES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "user_id": (f"{V3}/users", {}),
    "project_id": (f"{V3}/projects", {}),
    "environment_id": (f"{V2}/environments", {}),
    "job_id": (f"{V2}/jobs", {}),
    "run_id": (f"{V2}/runs", {**NEWEST, "status__in": "[10]", "limit": "1"}),
    "subscription_id": (f"{V3}/webhooks/subscriptions", {}),
}
# They send an event, return a file, or exist only for some runs.
LEFT_OUT = ("/test", "/artifacts/{name:path}", "/receipt", "/retry")


@dataclass(frozen=True)
class Endpoint:
    """A path with placeholders, which is what the report shows."""

    path: str

    def call(self, dbt_cloud: DbtCloud, ids: Mapping[str, Any]) -> Answer:
        """Return the answer; a note if the account has no object for the path."""
        try:
            path = self.path.format_map(ids)
        except KeyError as missing:
            return Answer(note=f"no {missing.args[0]} to read")
        params = PARAMS.get(self.path, {})
        if self.path.endswith("/environment-variables/job"):
            params = {"job_definition_id": f"{ids.get('job_id', '')}"}
        return dbt_cloud.get(path, params)


def id_name(kind: str) -> str:
    return f"{kind}_id"


# Path with the placeholder {resource_id} → kind of the resource.
KINDS = {f"{one.path}/{{resource_id}}": one.kind for one in RESOURCES} | {
    one.path: one.owner.kind for one in GRANTS
}


def endpoints() -> Iterator[Endpoint]:
    """Yield the endpoints that only read, in the order of the README."""
    reading = (route.path for route in ROUTES if route.method == "GET")
    for path in reading:
        if path.startswith("/api/") and not path.endswith(LEFT_OUT):
            kind = id_name(KINDS.get(path, "resource"))
            yield Endpoint(path.replace("{resource_id}", f"{{{kind}}}"))


def find_ids(dbt_cloud: DbtCloud) -> dict[str, Any]:
    """Return an id of each kind that the account has; environment and job of one project."""
    ids: dict[str, Any] = {"account_id": dbt_cloud.account_id}
    for name, (path, params) in SOURCES.items():
        within = {"project_id": f"{ids['project_id']}"} if "project_id" in ids else {}
        answer = dbt_cloud.get(path.format_map(ids), {**params, **within})
        if first := first_in(answer, "data"):
            ids[name] = first["id"]
    if "run_id" in ids:
        run = dbt_cloud.get(f"{V2}/runs/{{run_id}}".format_map(ids), {RELATED: '["run_steps"]'})
        if first := first_in(run, "data", "run_steps"):
            ids["step_id"] = first["id"]
    return ids


def find_resources(dbt_cloud: DbtCloud, ids: Mapping[str, Any]) -> dict[Resources, dict[str, Any]]:
    """Return the first resource of each kind that the account has."""
    answers = {kind: Endpoint(kind.path).call(dbt_cloud, ids) for kind in RESOURCES}
    firsts = {kind: first_in(answer, "data") for kind, answer in answers.items()}
    return {kind: first for kind, first in firsts.items() if first}


def ids_of(resources: Mapping[Resources, dict[str, Any]]) -> dict[str, Any]:
    return {id_name(kind.kind): one["id"] for kind, one in resources.items()}


def first_in(answer: Answer, *place: str) -> dict[str, Any] | None:
    """Return the first item of a list in the answer; None if there is none with an id."""
    found = answer.body
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    return next((one for one in found if one.get("id")), None) if isinstance(found, list) else None
