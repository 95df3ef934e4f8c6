"""``--log-requests``: one line per request, without anything secret."""

from __future__ import annotations

import httpx
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from tests.bundled import ACCOUNT_ID
from tests.contract.conftest import http_client
from tests.waiting import eventually

JOBS = f"/api/v2/accounts/{ACCOUNT_ID}/jobs"


def test_log_has_method_path_and_status_of_each_request(
    make_local_dbt_cloud: MakeLocalDbtCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    server = make_local_dbt_cloud("--log-requests", "--fault", f"close-after POST {JOBS}")
    log: list[str] = []

    def has_logged(count: int) -> bool:
        log.extend(line for line in capfd.readouterr().err.splitlines() if "/api/" in line)
        return len(log) == count

    with http_client(server) as api:
        api.get(f"/v2/accounts/{ACCOUNT_ID}/jobs/", params={"project_id": 36467})
        api.get(f"/v2/accounts/{ACCOUNT_ID}/invites/")
        api.get(f"/v2/accounts/{ACCOUNT_ID}/a%0Ab", headers={"Authorization": "Token wrong"})
        with pytest.raises(httpx.RemoteProtocolError):
            api.post(f"/v2/accounts/{ACCOUNT_ID}/jobs/", json={"name": "secret"})
        eventually(lambda: has_logged(4), "four calls are logged")
    assert log == [
        f"INFO: GET {JOBS}/ 200",
        f"INFO: GET /api/v2/accounts/{ACCOUNT_ID}/invites/ 501",
        f"INFO: GET /api/v2/accounts/{ACCOUNT_ID}/a%0Ab 401",
        f"INFO: POST {JOBS}/ no response",
    ]


def test_requests_are_not_logged_by_default(
    make_local_dbt_cloud: MakeLocalDbtCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    server = make_local_dbt_cloud()
    server.get("jobs/")
    server.end()
    assert "/api/" not in capfd.readouterr().err
