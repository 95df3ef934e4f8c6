"""The calls of clients in ``clients.yaml``, which COVERAGE.md shows."""

from __future__ import annotations

import re
from typing import Any

import pytest

from include.local_dbt_cloud.api.coverage import PAGE, endpoint, read_clients
from include.local_dbt_cloud.api.operations import SERVED, read_operations
from tests.contract.clients import operations_in

CLIENTS = read_clients()
KNOWN = SERVED | {one.endpoint for one in read_operations()}
README = PAGE.with_name("README.md")
THIS_PROJECT = "this project"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client["name"])
def test_called_operations_are_documented_or_served(client: dict[str, Any]) -> None:
    unknown = [one for one in client["operations"] if endpoint(one) not in KNOWN]
    known = [one for one in client.get("not_documented", []) if endpoint(one) in KNOWN]

    assert not unknown, "correct the spelling, or list them in not_documented"
    assert not known, "list them in operations"


def test_each_call_is_listed_once() -> None:
    assert all(len(client["calls"]) == len(set(client["calls"])) > 5 for client in CLIENTS)


def test_clients_have_the_versions_of_the_readme() -> None:
    table = (
        README.read_text().partition("## Clients that work")[2].partition("\n\n[COVERAGE.md]")[0]
    )
    versions = re.findall(r"^\| [^|]+ \| (\d[\d.]*) \|", table, re.MULTILINE)

    recorded = [one["version"] for one in CLIENTS if one["name"] != THIS_PROJECT]
    assert sorted(versions) == sorted(recorded)


def test_log_becomes_operations() -> None:
    log = [
        "INFO: GET /health 200",
        "INFO: GET /api/v2/accounts/16173/runs/ 200",
        "INFO: GET /api/v2/accounts/16173/runs/7/artifacts/a/b.sql 404",
        "INFO: POST /api/v3/accounts/16173/projects/2/adapters/ 501",
        "INFO: GET /api/v3/accounts/16173/feature-flag/ 501",
        "WARNING: groups: stored, without effect here.",
    ]

    assert list(operations_in(log)) == [
        "GET /api/v2/accounts/{account_id}/runs",
        "GET /api/v2/accounts/{account_id}/runs/{run_id}/artifacts/{name:path}",
        "POST /api/v3/accounts/{account_id}/projects/{project_id}/adapters",
        "GET /api/v3/accounts/{id}/feature-flag",
    ]
