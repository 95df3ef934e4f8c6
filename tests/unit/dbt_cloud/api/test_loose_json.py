"""Tests with ``run_results.json`` of other versions of dbt, Fusion and packages."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.dbt_cloud.airflow.compat import AirflowException
from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.artifacts import (
    Node,
    command_run_by,
    invocation_of,
    nodes_in,
    nodes_of_run,
)
from include.dbt_cloud.changes import changes_of
from include.dbt_cloud.page.accounts import ShownAccount
from include.dbt_cloud.page.content import model_times, recurring_failures
from include.dbt_cloud.page.live_run import LiveRun
from include.dbt_cloud.page.newest_runs import RecentRuns
from include.dbt_cloud.page.rendering import page
from include.dbt_cloud.page.run_details import run_details_of
from include.dbt_cloud.reports.archive import archive
from include.dbt_cloud.reports.dbt_docs import keep_docs
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.report import as_data, as_page, as_table
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.run_times import compare
from include.dbt_cloud.reports.timeline import stored_timeline
from tests.unit.dbt_cloud.loose_json import ANYTHING, MOMENTS, objects
from tests.unit.dbt_cloud.page.test_templates import REQUEST

RUN_IDS = itertools.count(1)
RUN = {
    "id": 7,
    "job_definition_id": 1,
    "status_humanized": "Error",
    "href": "https://cloud.getdbt.com/7",
}
SHOWN = ShownAccount("", RecentRuns(account=Account("localhost", 1)), None, "")
IDS = st.sampled_from(["model.shop.orders", "test.shop.unique.a1", "test", "test.shop", "..", ""])
STATUSES = st.sampled_from(["success", "error", "fail", "warn", "pass", "skipped"])
RESULTS = objects(
    unique_id=IDS,
    status=STATUSES,
    execution_time=st.floats(0, 10),
    message=st.text(max_size=9),
    timing=st.lists(
        objects(name=st.just("execute"), started_at=MOMENTS, completed_at=MOMENTS), max_size=2
    ),
    thread_id=st.text(max_size=3),
    relation_name=st.text(max_size=9),
    adapter_response=objects(rows_affected=st.integers(0, 9)),
)
RUN_RESULTS = objects(
    results=st.lists(RESULTS | ANYTHING, max_size=4),
    metadata=objects(invocation_id=st.uuids().map(str)),
    args=objects(which=st.sampled_from(["build", "docs"])),
)


@given(RUN_RESULTS | st.dictionaries(st.text(max_size=3), ANYTHING))
@settings(max_examples=50)
def test_reports_accept_any_results(artifact: dict[str, Any]) -> None:
    results = Results(RUN, nodes_in(artifact, 4))
    command_run_by(artifact, "dbt build")
    invocation_of(artifact)

    times = compare(results, [results])
    as_table(results, times).encode()
    as_page(results, times).encode()
    json.dumps(as_data(results, times), allow_nan=False).encode()


@given(RUN_RESULTS)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_history_and_page_accept_any_results(tmp_path: Path, artifact: dict[str, Any]) -> None:
    results = Results({**RUN, "id": next(RUN_IDS)}, nodes_in(artifact, 4))
    history = History(ObjectStoragePath(f"file://{tmp_path}/history"))

    history.keep(results, stored_timeline(results, artifact))

    (kept,) = history.results(1, most=1)
    listed = run_details_of(
        1, results.run["id"], RecentRuns(), history, lambda _: {}, lambda _: LiveRun()
    )
    assert listed
    assert page(REQUEST, "run.html", shown=SHOWN, found=listed, dag_id="keep").status_code == 200
    assert [node.unique_id for node in kept.nodes] == [node.unique_id for node in results.nodes]
    assert all(time.seconds >= 0 for time in model_times([kept, kept]))
    assert {one.name for one in recurring_failures([kept])} == {
        kept.called(node) for node in kept.outcomes if node.has_failed_or_warned
    }


def test_nodes_in_replaces_characters_that_cannot_be_stored() -> None:
    (node,) = nodes_in({"results": [{"unique_id": "model.a.b\x00", "message": "\ud83d"}]}, 4)

    assert (node.unique_id, node.message) == ("model.a.b\ufffd", "\ufffd")


def test_nodes_in_uses_defaults_for_missing_and_mistyped_fields() -> None:
    results = [
        {"unique_id": "model.shop.orders", "status": "success"},
        {"unique_id": "model.shop.stores", "status": None, "message": {"code": 7}},
        {"unique_id": "model.shop.items", "status": "error", "execution_time": "1.5"},
        {"unique_id": "seed.shop.rates", "status": "success", "adapter_response": "INSERT 3"},
        {"status": "success"},
        None,
    ]

    assert nodes_in({"results": results}, 4) == [
        Node("model.shop.orders", "success", 0.0, "", 4),
        Node("model.shop.stores", "unknown", 0.0, "{'code': 7}", 4),
        Node("model.shop.items", "error", 1.5, "", 4),
        Node("seed.shop.rates", "success", 0.0, "", 4),
    ]
    assert nodes_in({"results": None}, 4) == nodes_in({}, 4) == []


@pytest.mark.parametrize(
    ("artifact", "command", "verb"),
    [
        ({"args": {"which": "build"}}, "dbt retry", "build"),
        ({"args": {}}, "dbt --quiet build", "build"),
        ({"args": None}, "dbt docs generate", "docs"),
        ({}, "dbt run-operation build", "run-operation"),
    ],
)
def test_command_run_by_falls_back_to_the_command_of_the_step(
    artifact: dict[str, Any], command: str, verb: str
) -> None:
    assert command_run_by(artifact, command) == verb


def test_invocation_of_identifies_results_without_an_id_by_content() -> None:
    first = {"results": [{"unique_id": "a.b.c"}], "metadata": None}

    assert invocation_of(first) == invocation_of(dict(first))
    assert invocation_of(first) != invocation_of({**first, "results": []})
    assert invocation_of({"metadata": {"invocation_id": "x"}}) == "x"


def test_run_without_steps_has_neither_results_nor_files(tmp_path: Path) -> None:
    """Such a run was cancelled while it was queued."""
    client: Any = None  # never called
    run = {"id": 7, "project_id": 1, "run_steps": None}

    assert not list(nodes_of_run(client, run))
    assert not archive(client, run, tmp_path)
    keep_docs(client, run | {"has_docs_generated": True}, ObjectStoragePath(f"file://{tmp_path}"))
    with pytest.raises(AirflowException, match="neither a list"):
        list(changes_of(run | {"href": "https://dbt/7"}))
