"""The vendors' own hooks against the local Fivetran and Census, over real TLS."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pendulum
import pytest
import requests

pytest.importorskip("fivetran_provider_async")
pytest.importorskip("airflow_provider_census")
pytest.importorskip("supervisor", reason="needs requirements-dev.txt")

import plugins.fivetran_host  # noqa: F401 - Airflow loads it, and the local Fivetran needs it
from include.local_dbt_cloud.testing import free_port, share_authority
from tests.bundled import PROJECT
from tests.waiting import eventually

# Warnings of the vendors' packages about their own names and aiohttp.
pytestmark = pytest.mark.filterwarnings("default")

CONNECTOR = "jaffle_shop_files"
KEY, SECRET, TOKEN = "local-fivetran-key", "local-fivetran-secret", "local-census-token"


@dataclass(frozen=True)
class Servers:
    """Both APIs on one port, and their data folder."""

    host: str
    data: Path

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def warehouse(self) -> duckdb.DuckDBPyConnection:
        def connect() -> duckdb.DuckDBPyConnection | None:
            try:
                return duckdb.connect(self.data / "warehouse.duckdb")
            except duckdb.IOException:
                return None

        return eventually(connect, "the warehouse is free")


@pytest.fixture
def servers(
    local_dbt_cloud_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Servers]:
    """Yield new servers without a sync, and Airflow's connections to them."""
    share_authority(local_dbt_cloud_data, tmp_path)
    port = str(free_port())
    command = [sys.executable, "-m", "include.local_fivetran_census", "--port", port]
    process = subprocess.Popen([*command, "--data", tmp_path], cwd=PROJECT)
    found = Servers(f"localhost:{port}", tmp_path)

    def is_running() -> bool:
        assert process.poll() is None
        try:
            return requests.get(f"{found.url}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    connect(monkeypatch, "fivetran", conn_type="Fivetran", host=found.host, login=KEY)
    connect(monkeypatch, "census", conn_type="census", host=found.host)
    try:
        eventually(is_running, "the servers are running")
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def connect(monkeypatch: pytest.MonkeyPatch, vendor: str, **fields: str) -> None:
    password = {"fivetran": SECRET, "census": TOKEN}[vendor]
    connection = json.dumps({"password": password, **fields})
    monkeypatch.setenv(f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT", connection)


def fivetran() -> Any:
    from fivetran_provider_async.hooks import FivetranHook

    return FivetranHook()


def census() -> Any:
    from airflow_provider_census.hooks.census import CensusHook

    return CensusHook()


def sync() -> bool:
    """Return whether the sync that the operator starts has succeeded."""
    hook = fivetran()
    hook.prep_connector(CONNECTOR, "manual")
    before = pendulum.parse(hook.start_fivetran_sync(CONNECTOR))
    return eventually(
        lambda: bool(
            hook.is_synced_after_target_time(CONNECTOR, before, always_wait_when_syncing=True)
        ),
        "the sync ends",
    )


def ended(sync_run: int) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        found: dict[str, Any] = census().get_sync_run_info(sync_run)
        return found if found["status"] != "working" else None

    return eventually(find, "the sync run ends")


def test_fivetran_sync_loads_missing_rows_without_duplicates(servers: Servers) -> None:
    assert sync()
    with servers.warehouse() as warehouse:
        (orders,) = warehouse.execute("select count(*) from raw.orders").fetchone() or (0,)
        warehouse.execute("delete from raw.orders where order_id < 100")
    assert orders > 10_000

    assert sync()

    with servers.warehouse() as warehouse:
        assert warehouse.execute("select count(*) from raw.orders").fetchone() == (orders,)
        loads = "select row_count > 0 from raw.loads where table_name = 'payments' order by 1"
        assert warehouse.execute(loads).fetchall() == [(False,), (True,)]


def test_fivetran_trigger_reports_a_successful_sync(servers: Servers) -> None:
    from fivetran_provider_async.triggers import FivetranTrigger

    before = pendulum.now()
    fivetran().start_fivetran_sync(CONNECTOR)
    trigger = FivetranTrigger("sync", CONNECTOR, "fivetran_default", before, poke_interval=0.1)

    async def event() -> Any:
        return await anext(trigger.run())

    payload = asyncio.run(event()).payload
    assert payload["status"] == "success", payload


def test_fivetran_sync_fails_on_an_incompatible_table(servers: Servers) -> None:
    from airflow.sdk.exceptions import AirflowException

    with servers.warehouse() as warehouse:
        warehouse.execute("create schema raw; create table raw.orders (nonsense varchar)")

    with pytest.raises(AirflowException, match=f"sync for connector {CONNECTOR} failed"):
        sync()


def test_fivetran_hook_finds_a_connector_by_its_name(servers: Servers) -> None:
    assert fivetran().get_connector_id("raw", "Warehouse") == CONNECTOR
    assert fivetran().test_connection() == (True, "Fivetran connection test passed")


def test_census_sync_writes_valid_records_to_a_file(servers: Servers) -> None:
    with servers.warehouse() as warehouse:
        warehouse.execute("create schema analytics")
        warehouse.execute(
            "create table analytics.customers as select * from (values"
            " (1, 'Ada', 'ada@example.com', 2, 19.99::decimal(16, 2)), (2, 'Bob', null, 0, 0))"
            " t(customer_id, customer_name, email, count_orders, lifetime_spend)"
        )
    sync_run = census().trigger_sync(51)

    result = ended(sync_run)

    assert result["status"] == "completed"
    assert (result["source_record_count"], result["source_record_invalids"]) == (2, 1)
    (line,) = (servers.data / "census" / f"{sync_run}.jsonl").read_text().splitlines()
    assert json.loads(line)["record_payload"] == {
        "customer_id": 1,
        "customer_name": "Ada",
        "email": "ada@example.com",
        "count_orders": 2,
        "lifetime_spend": "19.99",
    }
    assert census().test_connection()[0]


def test_census_sync_fails_when_the_mart_does_not_exist(servers: Servers) -> None:
    from airflow_provider_census.triggers.census import CensusTrigger

    sync_run = census().trigger_sync(51)

    async def event() -> Any:
        return await anext(CensusTrigger(sync_run, poll_interval=0.1).run())

    payload = asyncio.run(event()).payload
    assert payload["status"] == "failed"
    assert payload["error_message"] == "Table analytics.customers does not exist: run dbt first."
    assert not (servers.data / "census" / f"{sync_run}.jsonl").exists()


def test_wrong_credentials_are_refused(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import AirflowException

    connect(monkeypatch, "fivetran", conn_type="Fivetran", host=servers.host, login="another-key")
    connect(monkeypatch, "census", conn_type="census", host=servers.host, password="another")

    with pytest.raises(AirflowException, match="Status Code: 401"):
        fivetran().get_connector(CONNECTOR)
    with pytest.raises(AirflowException, match="401"):
        census().trigger_sync(51)
    assert not os.path.exists(servers.data / "warehouse.duckdb")


def test_public_host_requires_custom_credentials(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "include.local_fivetran_census"]
    refused = subprocess.run(
        [*command, "--data", str(tmp_path), "--host", "0.0.0.0", "--port", "0"],
        cwd=PROJECT,
        env={**os.environ, "LOCAL_CENSUS_TOKEN": "of-my-own"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert refused.returncode == 1
    assert "set LOCAL_FIVETRAN_SECRET and LOCAL_CENSUS_TOKEN" in refused.stderr


def test_invalid_requests_return_an_error_status_and_a_message(servers: Servers) -> None:
    expected = {
        ("GET", "/v1/connectors/another"): 404,
        ("PATCH", f"/v1/connectors/{CONNECTOR}"): 400,  # paused must be a boolean
        ("GET", "/v1/destinations/1"): 501,
        ("POST", "/api/v1/syncs/1/trigger"): 404,
        ("GET", "/api/v1/sync_runs/1"): 404,
        ("GET", "/api/v1/sync_runs/x"): 400,
        ("POST", "/api/v1/syncs"): 501,
    }
    codes = {}
    for method, path in expected:
        token: dict[str, Any] = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
        how = token if path.startswith("/api") else {"auth": (KEY, SECRET)}
        body = {"paused": "perhaps"}
        response = requests.request(method, servers.url + path, json=body, timeout=30, **how)
        codes[method, path] = response.status_code
        assert response.json()["message"]

    assert codes == expected


def test_connection_without_a_host_calls_the_real_fivetran(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "fivetran", conn_type="Fivetran", login=KEY)
    hook = fivetran()
    called: list[str] = []
    monkeypatch.setattr(requests, "request", lambda method, url, **_: called.append(url))

    with pytest.raises(AttributeError):  # the call was caught above and returned nothing
        hook.get_connector(CONNECTOR)

    assert called == [f"https://api.fivetran.com/v1/connectors/{CONNECTOR}"]


def test_the_readme_lists_exactly_the_endpoints_that_exist(tmp_path: Path) -> None:
    from include.local_fivetran_census.app import create_app
    from include.local_fivetran_census.settings import Settings

    readme = (PROJECT / "include" / "local_fivetran_census" / "README.md").read_text()
    rows = re.findall(r"^\| ([A-Z, ]+) \| `(/.+)` \|$", readme, re.MULTILINE)
    listed = {(method, path) for methods, path in rows for method in methods.split(", ")}

    assert listed == {
        (method.upper(), path)
        for path, operations in create_app(Settings(tmp_path)).openapi()["paths"].items()
        for method in operations
    }
