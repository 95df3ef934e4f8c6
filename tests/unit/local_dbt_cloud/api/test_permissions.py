"""Permission sets: the tables of CONTRACT.md, and the area of each route."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.local_dbt_cloud.api.permissions import (
    ACCOUNT_AREAS,
    LEVELS,
    PERMISSION_SETS,
    PROJECT_AREAS,
    SEGMENTS,
    WITHOUT_CALLS,
    allows,
    area_of,
    projects_granted,
)
from include.local_dbt_cloud.api.routes import ROUTES

CONTRACT = Path(__file__).parents[4] / "include" / "local_dbt_cloud" / "CONTRACT.md"
SECTION = CONTRACT.read_text().split("### 3.14 ")[1].split("\n## ")[0]
AREAS = ACCOUNT_AREAS + PROJECT_AREAS
# Every valid token can read these.
WITHOUT_AREA = {
    "/api/v2/accounts",
    "/api/v3/accounts",
    "/api/v2/accounts/{account_id}",
    "/api/v3/accounts/{account_id}",
    "/api/v2/whoami",
}


def test_contract_has_the_levels_of_every_permission_set() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([WR -]+(?:\| [WR-] )+)\|$", SECTION, re.MULTILINE)
    documented = {name: re.sub(r"[ |]", "", levels) for name, levels in rows}
    assert documented == {name: levels.replace(" ", "") for name, levels in LEVELS.items()}


def test_contract_has_the_area_of_every_segment() -> None:
    rows = re.findall(r"^\| (\w+) \| ((?:`[\w-]+`(?:, )?)+) \|$", SECTION, re.MULTILINE)
    documented = {
        segment: area for area, segments in rows for segment in re.findall(r"[\w-]+", segments)
    }
    assert documented == SEGMENTS


def test_every_permission_set_has_a_level_for_every_area() -> None:
    assert {len(levels.replace(" ", "")) for levels in LEVELS.values()} == {len(AREAS)}
    assert set(SEGMENTS.values()) | {"new_projects"} == set(AREAS)
    assert set(WITHOUT_CALLS) <= PERMISSION_SETS - set(LEVELS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_of_the_api_has_an_area(route: object) -> None:
    method, path = route.method, route.path  # type: ignore[attr-defined]  # pytest's ids
    if path.startswith("/api/") and path not in WITHOUT_AREA:
        assert area_of(method, path) in AREAS


@pytest.mark.parametrize(
    ("method", "path", "area"),
    [
        ("POST", "/api/v2/accounts/{account_id}/jobs/{job_id}/run", "runs"),
        ("POST", "/api/v2/accounts/{account_id}/jobs/{job_id}", "jobs"),
        ("GET", "/api/v2/accounts/{account_id}/runs/{run_id}/artifacts/{name:path}", "runs"),
        ("POST", "/api/v3/accounts/{account_id}/projects", "new_projects"),
        ("GET", "/api/v3/accounts/{account_id}/projects", "projects"),
        ("POST", "/api/v3/accounts/{account_id}/projects/{project_id}/credentials", "credentials"),
        ("GET", "/api/v3/accounts/{account_id}", None),
    ],
)
def test_area_is_that_of_the_last_known_segment(method: str, path: str, area: str | None) -> None:
    assert area_of(method, path) == area


@pytest.mark.parametrize(
    ("permission_set", "area", "reads", "writes"),
    [
        ("job_admin", "jobs", True, True),
        ("job_admin", "projects", True, False),
        ("job_runner", "runs", True, True),
        ("job_runner", "projects", False, False),
        ("metadata_only", "runs", False, False),
        ("unknown", "runs", False, False),
    ],
)
def test_write_includes_read(permission_set: str, area: str, reads: bool, writes: bool) -> None:
    assert allows(permission_set, area, writes=False) is reads
    assert allows(permission_set, area, writes=True) is writes


def test_grants_add_up() -> None:
    grants = [("job_viewer", None), ("job_admin", 7)]
    assert projects_granted(grants, "jobs", writes=False) == {None, 7}
    assert projects_granted(grants, "jobs", writes=True) == {7}
    assert projects_granted(grants, "groups", writes=False) == frozenset()
