"""What is emitted, by whom, and that it fails no task."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("airflow.providers.openlineage", reason="needs requirements-dev.txt")

from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

from include.dbt_cloud.lineage_events import emit_lineage
from include.dbt_cloud.lineage_events.emission import is_airflow_cause
from include.dbt_cloud.run.idempotency_key import IdempotencyKey
from include.local_dbt_cloud.testing import LocalDbtCloud, free_port
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import go_well, go_wrong, missing_table, open_warehouse

TRANSPORT = "AIRFLOW__OPENLINEAGE__TRANSPORT"
STEPS = ["dbt deps"]


@pytest.fixture(autouse=True)
def new_client() -> Iterator[None]:
    """Let each test have its own transport."""
    get_openlineage_listener.cache_clear()
    yield
    get_openlineage_listener.cache_clear()


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file to which events are written."""
    file = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    monkeypatch.setenv(TRANSPORT, json.dumps(transport))
    return file


def finished(server: LocalDbtCloud, cause: str = "Scheduled") -> int:
    run_id = server.trigger(DAILY_BUILD, steps_override=STEPS, cause=cause)
    server.wait(run_id)
    return run_id


def names(file: Path) -> list[tuple[str, str]]:
    lines = file.read_text().splitlines() if file.exists() else []
    events = [json.loads(line) for line in lines]
    return [(one["job"]["name"], one["eventType"]) for one in events]


def test_nothing_is_called_without_a_transport(
    dbt_cloud_connection: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT")  # a call would fail

    assert emit_lineage([7]) == []


def test_run_that_airflow_did_not_start_is_emitted(
    dbt_cloud_connection: LocalDbtCloud, emitted: Path
) -> None:
    run_id = finished(dbt_cloud_connection)

    assert emit_lineage([run_id]) == [run_id]

    assert names(emitted) == [("dbt-cloud-job-65767", "START"), ("dbt-cloud-job-65767", "COMPLETE")]


def test_run_of_a_task_and_its_resumed_run_are_left_to_the_task(
    dbt_cloud_connection: LocalDbtCloud, emitted: Path
) -> None:
    server = dbt_cloud_connection
    cause = IdempotencyKey(f"{7:016x}").cause("Airflow: dag.task")
    with missing_table(server, "stores"):
        failed = server.trigger(
            DAILY_BUILD, steps_override=["dbt run --select stg_stores"], cause=cause
        )
        assert server.wait(failed)["is_error"]
    resumed = server.request("POST", f"runs/{failed}/retry/").json()["data"]["id"]
    server.wait(resumed)

    assert emit_lineage([failed, resumed]) == []
    assert names(emitted) == []


def test_active_run_is_skipped(dbt_cloud_connection: LocalDbtCloud, emitted: Path) -> None:
    with open_warehouse(dbt_cloud_connection):  # dbt waits for it
        run_id = dbt_cloud_connection.trigger(
            DAILY_BUILD, steps_override=["dbt run --select stg_stores"]
        )
        assert emit_lineage([run_id]) == []

    assert dbt_cloud_connection.wait(run_id)["is_success"]
    assert emit_lineage([run_id]) == [run_id]


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("Airflow: dag.task, run_7 [airflow:0123456789abcdef]", True),
        ("Airflow rebuilds: orders [airflow-models:0123456789abcdef]", True),
        ("Triggered via Apache Airflow by task 'a' in the b DAG.", True),
        ('{"parent":{"run":{"runId":"x"}}}', True),
        ('{"note":"mine","run":"airflow:0123456789abcdef"}', True),
        ("Scheduled", False),
        ("Airflow is broken, so I started it", False),
        ("[1]", False),
        ("", False),
    ],
)
def test_cause_shows_whether_airflow_started_the_run(cause: str, expected: bool) -> None:
    assert is_airflow_cause(cause) is expected


def test_unreachable_server_is_one_warning_before_any_call(
    dbt_cloud_connection: LocalDbtCloud,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    url = f"http://user:secret@127.0.0.1:{port}"
    monkeypatch.setenv(TRANSPORT, json.dumps({"type": "http", "url": url}))
    monkeypatch.delenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT")  # a call would fail otherwise

    with caplog.at_level(logging.WARNING, "include.dbt_cloud.lineage_events"):
        assert emit_lineage([7, 8]) == []

    (record,) = caplog.records
    assert record.getMessage() == (
        "Could not emit the OpenLineage events of dbt Cloud run 7, 8: the OpenLineage server "
        f"127.0.0.1:{port} does not respond (ConnectionError). This does not affect the task."
    )


def test_dbt_cloud_that_fails_is_a_warning(
    dbt_cloud_connection: LocalDbtCloud, emitted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    go_wrong(dbt_cloud_connection, "503", path="*/runs/*", times=99)

    with caplog.at_level(logging.WARNING, "include.dbt_cloud.lineage_events"):
        assert emit_lineage([7]) == []

    go_well(dbt_cloud_connection)
    assert "Could not emit the OpenLineage events of dbt Cloud run 7" in caplog.text


def test_invalid_setting_of_openlineage_fails_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRANSPORT, "[]")

    assert emit_lineage([7]) == []
