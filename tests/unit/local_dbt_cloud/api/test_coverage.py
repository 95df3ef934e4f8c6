"""The page of documented and served operations."""

from __future__ import annotations

from include.local_dbt_cloud.api.coverage import PAGE, documented_operations, page
from include.local_dbt_cloud.api.operations import Operation

DOCUMENT = """\
paths:
  /api/v2/accounts/{account_id}/jobs/:
    parameters: []
    get: {operationId: List Jobs}
    post: {operationId: Create Job}
"""


def test_coverage_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run make readme"


def test_operations_are_read_from_a_document() -> None:
    path = "/api/v2/accounts/{account_id}/jobs/"

    assert set(documented_operations(DOCUMENT)) == {
        Operation(path, "GET", "List Jobs"),
        Operation(path, "POST", "Create Job"),
    }
