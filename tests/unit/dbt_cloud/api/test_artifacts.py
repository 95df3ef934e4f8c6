"""Tests of reading artifacts: only 404 means that there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud import pull_requests, reports
from include.dbt_cloud.api import artifacts
from include.dbt_cloud.api.artifacts import failed_nodes, has_failed, nodes_of_run, read_artifact
from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.api.responses import DbtCloudRefusedError
from include.dbt_cloud.freshness import WaitForFreshSourcesOperator
from include.dbt_cloud.models.lineage import write_lineage
from include.dbt_cloud.models.publishing import failing_tests, latest_builds
from include.dbt_cloud.notifications.failed_run import describe
from include.dbt_cloud.page.content import recurring_failures
from include.dbt_cloud.reports.dbt_docs import docs_of
from include.dbt_cloud.reports.report import as_data
from include.dbt_cloud.reports.results import read_results
from include.dbt_cloud.reports.stored_run import slim
from include.dbt_cloud.run.failures import describe_failure, describe_unfinished
from include.dbt_cloud.run.recovery import commands_after_failure
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    Node,
    ScriptedDbtCloud,
    build_only,
    serve,
)

STEPS = ("dbt source freshness", "dbt docs generate", "dbt build")
MODEL, TEST = Node("model.shop.a"), Node("test.shop.unique_a.f00", ("model.shop.a",))
RUN, BUILD = 1, 6  # the building step
FAILED = artifacts.Node(TEST.unique_id, "fail", 0.0, "", step=BUILD)


@pytest.fixture
def dbt_cloud(monkeypatch: pytest.MonkeyPatch) -> ScriptedDbtCloud:
    """Return a dbt Cloud with a run that failed in a test."""
    dbt_cloud = ScriptedDbtCloud([MODEL, TEST], *STEPS)
    dbt_cloud.choose = lambda node, run: "fail" if node.is_test else "success"
    dbt_cloud.start()
    dbt_cloud.finish()
    serve(monkeypatch, lambda: dbt_cloud)
    return dbt_cloud


@pytest.fixture
def client(dbt_cloud: ScriptedDbtCloud) -> DbtCloudClient:
    return DbtCloudClient(DbtCloudHook(), None)


def run_of(client: DbtCloudClient) -> dict[str, Any]:
    run: dict[str, Any] = client.get(f"runs/{RUN}/", include_related="run_steps,job,trigger")
    return run


def freshness(client: DbtCloudClient) -> Any:
    return WaitForFreshSourcesOperator(task_id="wait", job_id=1).sources_of(RUN)


READERS: dict[str, Callable[[DbtCloudClient], Any]] = {
    "read_artifact": lambda client: read_artifact(client, RUN, "run_results.json", BUILD),
    "failed_nodes": lambda client: failed_nodes(client, RUN, BUILD),
    "nodes_of_run": lambda client: list(nodes_of_run(client, run_of(client))),
    "commands_after_failure": lambda client: commands_after_failure(client, run_of(client)),
    "report_check": lambda client: pull_requests.report_check(RUN),
    "failing_tests": lambda client: failing_tests(client, RUN, {FAILED.unique_id: FAILED}),
    "docs_of": lambda client: docs_of(client, run_of(client)),
    "write_lineage": lambda client: write_lineage(DbtCloudHook(), RUN, Path("never-written")),
    "keep_runs": lambda client: reports.keep_runs([RUN], ObjectStoragePath("file:///never-made")),
    "freshness": freshness,
}


@pytest.mark.parametrize("status", [400, 401, 403, 409])
@pytest.mark.parametrize("reader", READERS)
def test_artifact_readers_raise_for_a_4xx_status_other_than_404(
    dbt_cloud: ScriptedDbtCloud, client: DbtCloudClient, reader: str, status: int
) -> None:
    dbt_cloud.refused = status

    with pytest.raises(DbtCloudRefusedError) as raised:
        READERS[reader](client)

    assert raised.value.status == status


def test_keep_runs_stores_a_run_once_its_results_become_readable(
    dbt_cloud: ScriptedDbtCloud, tmp_path: Path
) -> None:
    history = ObjectStoragePath(f"file://{tmp_path}")
    dbt_cloud.refused = 403
    with pytest.raises(DbtCloudRefusedError):
        reports.keep_runs([RUN], history)
    assert list(tmp_path.iterdir()) == []

    dbt_cloud.refused = 0
    (kept,) = reports.keep_runs([RUN], history)

    assert kept.counts == {"success": 1, "fail": 1}


@pytest.mark.parametrize("reader", ["docs_of", "read_artifact"])
def test_artifact_readers_return_none_for_404(
    dbt_cloud: ScriptedDbtCloud, client: DbtCloudClient, reader: str
) -> None:
    dbt_cloud.refused = 404

    assert READERS[reader](client) is None


def test_descriptions_of_a_run_report_results_that_cannot_be_read(
    dbt_cloud: ScriptedDbtCloud, client: DbtCloudClient
) -> None:
    """So that a token without access to results can resume a run."""
    dbt_cloud.refused = 403

    text = describe_unfinished(client, run_of(client))

    assert "Run 1 failed" in text
    assert "Its results cannot be read: dbt Cloud returned 403" in text
    assert "dbt Cloud returned 403" in describe_failure(client, RUN)


BAD = ["error", "fail", "runtime error", "partial success"]  # and an unknown status
UNKNOWN = ["cancelled", "timed out", "Error", "SUCCESS", "Pass", "Skipped", "unknown", ""]


def ids_of(nodes: list[artifacts.Node]) -> list[str]:
    return [node.unique_id for node in nodes]


FAILED_IN: dict[str, Callable[[DbtCloudClient], list[str]]] = {
    "failures": lambda client: ids_of(failed_nodes(client, RUN, BUILD)),
    "recovery": lambda client: [
        MODEL.unique_id
        for command in commands_after_failure(client, run_of(client)) or ()
        if command == build_only(MODEL.unique_id)
    ],
    "notifications": lambda client: ids_of(describe(client, run_of(client)).nodes),
    "reports": lambda client: [
        one["node"] for one in as_data(read_results(client, RUN), [])["failed"]
    ],
    "history": lambda client: [
        node.unique_id for node in read_results(client, RUN).nodes if "message" in slim(node)
    ],
    "page": lambda client: [
        one.name.replace(" ", ".shop.") for one in recurring_failures([read_results(client, RUN)])
    ],
    "pull requests": lambda client: [
        f"model.shop.{name}" for name in pull_requests.report_check(RUN)["failed_models"]
    ],
    "describe_unfinished": lambda client: [
        MODEL.unique_id
        for line in describe_unfinished(client, run_of(client)).splitlines()
        if line == f"  1 failed: {MODEL.unique_id}"
    ],
}


@pytest.mark.parametrize("status", [*BAD, *UNKNOWN])
@pytest.mark.parametrize("reader", FAILED_IN)
def test_readers_count_bad_and_unknown_model_statuses_as_failures(
    monkeypatch: pytest.MonkeyPatch, client: DbtCloudClient, reader: str, status: str
) -> None:
    dbt_cloud = ScriptedDbtCloud([MODEL], *STEPS)
    dbt_cloud.choose, dbt_cloud.logged = lambda node, run: status, {MODEL.unique_id: "error"}
    dbt_cloud.start()
    dbt_cloud.finish()
    serve(monkeypatch, lambda: dbt_cloud)

    assert FAILED_IN[reader](client) == [MODEL.unique_id]


@pytest.mark.parametrize("status", ["success", "reused", "no-op", "warn", "pass"])
def test_has_failed_is_false_for_good_statuses(status: str) -> None:
    assert not has_failed(status)


@pytest.mark.parametrize(
    ("status", "is_published"),
    [("pass", True), ("warn", True), ("skipped", True), *((one, False) for one in BAD + UNKNOWN)],
)
def test_model_is_published_only_if_all_tests_are_good(
    dbt_cloud: ScriptedDbtCloud, client: DbtCloudClient, status: str, is_published: bool
) -> None:
    nodes = [
        artifacts.Node(MODEL.unique_id, "success", 1.0, "", BUILD, relation="w.a.a"),
        artifacts.Node(TEST.unique_id, status, 0.1, "", BUILD),
    ]

    found = list(latest_builds(client, [(run_of(client), nodes)], "duckdb://w"))

    assert bool(found) is is_published
