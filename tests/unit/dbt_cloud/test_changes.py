"""Tests of the changes listed by ``dbt ls`` and of their build."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from include.dbt_cloud import changes
from include.dbt_cloud.changes import LIST_ALL, LIST_CHANGES, Change
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.contract.git_project import TWO, GitProject

LISTS, BUILDS = 48621, 48622


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> GitProject:
    return GitProject.made_in(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def server(
    local_dbt_cloud_factory: MakeLocalDbtCloud, checkout: GitProject
) -> Iterator[LocalDbtCloud]:
    """Start a dbt Cloud without any builds."""
    with local_dbt_cloud_factory("--dbt-project", checkout.dbt_project) as server:
        yield server


@pytest.fixture(autouse=True)
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "server" in request.fixturenames:
        server: LocalDbtCloud = request.getfixturevalue("server")
        monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", server.connection)


def listed(server: LocalDbtCloud, listing: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Run the listing and return its changes."""
    overrides = {"steps_override": listing["steps"], "schema_override": listing["schema"], **more}
    run = server.wait(server.trigger(listing["job_id"], **overrides))
    assert run["is_success"], run["run_steps"][-1]["logs"]
    return changes.read_changes(run["id"])


def test_changes_list_every_model_until_production_has_a_state(
    server: LocalDbtCloud, checkout: GitProject
) -> None:
    for _ in range(2):  # the listing itself is not a state
        listing = changes.how_to_list(LISTS, BUILDS)
        assert (listing["job_id"], listing["steps"]) == (BUILDS, [LIST_ALL])
        found = listed(server, listing)
        assert set(found["nodes"]) == {"model.small.one", "model.small.two"}
        assert (found["subject"], found["steps"]) == ("Build 2 models?", ["dbt build"])
        assert "**everything** is new" in found["body"]
        assert found["state"] == {}
        assert "of no commit" in found["body"]

    assert server.wait(server.trigger(DAILY_BUILD))["is_success"]
    listing = changes.how_to_list(LISTS, BUILDS)
    assert listing == {"job_id": LISTS, "steps": [LIST_CHANGES], "schema": None}
    with pytest.raises(AirflowSkipException, match="newest state, that of run"):
        listed(server, listing)


def test_changes_build_a_modified_model_by_name_from_its_commit(
    server: LocalDbtCloud, checkout: GitProject
) -> None:
    assert server.wait(server.trigger(DAILY_BUILD))["is_success"]
    sha = checkout.commit_on_branch("release", "models/two.sql", TWO.replace("main", "release"))

    found = listed(server, changes.how_to_list(LISTS, BUILDS), git_branch="release")

    assert found["steps"] == ["dbt build --select 'package:small,fqn:*.two'"]
    assert found["state"] == {"git_sha": sha}
    assert f"of commit `{sha}` of branch `release`" in found["body"]
    assert "| `two` | model, view |" in found["body"]


def test_how_to_list_rejects_unsuitable_jobs(server: LocalDbtCloud) -> None:
    with pytest.raises(AirflowFailException, match="does not compare with environment 29118"):
        changes.how_to_list(DAILY_BUILD, BUILDS)
    job = server.get(f"jobs/{DAILY_BUILD}/") | {"id": None, "deferring_environment_id": 29118}
    same_place = server.request("POST", "jobs/", json=job).json()["data"]["id"]
    with pytest.raises(AirflowFailException, match="is itself in environment 29118"):
        changes.how_to_list(same_place, BUILDS)


def run_with(*lines: str) -> dict[str, Any]:
    step = {"name": f"Invoke dbt with `{LIST_CHANGES}`", "logs": "\n".join(lines)}
    return {"id": 7, "href": "https://dbt/7", "deferring_run_id": None, "run_steps": [step]}


def line_of(unique_id: str, **more: str | None) -> str:
    return json.dumps({"unique_id": unique_id, **more})


@pytest.mark.parametrize(
    "empty", ["12:00:01  No nodes selected!", "warning: dbt1601: Nothing to do"]
)
def test_changes_of_returns_nothing_for_an_empty_list_of_either_engine(empty: str) -> None:
    assert list(changes.changes_of(run_with("12:00:00  Running with dbt", empty))) == []


def test_changes_of_raises_for_a_log_without_a_list() -> None:
    with pytest.raises(AirflowException, match=r"neither a list.*https://dbt/7"):
        list(changes.changes_of(run_with("12:00:00  Found 12 models", '{"unique_id": cut off}')))


@pytest.mark.parametrize(
    "other",
    ['{"x": {"unique_id": "model.shop.x"}}', '{"unique_id": null}', '{"unique_id": ["x"]}', ""],
)
def test_changes_of_skips_lines_of_json_that_name_no_node(other: str) -> None:
    node = line_of("model.shop.orders", **{"config.materialized": None})

    assert list(changes.changes_of(run_with(node, other))) == [Change("model.shop.orders")]


def test_changes_select_and_show_same_named_models_with_their_package() -> None:
    run = run_with() | {"git_sha": None}
    found = [Change("model.shop.orders"), Change("model.erp.orders"), Change("model.erp.stores")]

    assert changes.build_command(run, found[:1]) == (
        "dbt build --select 'package:shop,fqn:*.orders'"
    )
    body = "\n".join(changes.lines_for_approver(run, found))
    assert "| `shop.orders` | model |\n| `erp.orders` | model |\n| `stores` | model |" in body


def test_changes_of_skips_timestamps_and_sources() -> None:
    orders = line_of("model.shop.orders", **{"config.materialized": "table"})
    run = run_with(f"12:00:00  {orders}", line_of("seed.shop.rates"), line_of("source.shop.raw.x"))

    assert list(changes.changes_of(run)) == [
        Change("model.shop.orders", "table"),
        Change("seed.shop.rates"),
    ]


def test_build_command_builds_everything_beyond_500_models() -> None:
    run = run_with() | {"git_sha": "a" * 40, "git_branch": "ma`in|<b>"}
    many = [Change(f"model.shop.m{number}") for number in range(501)]

    assert changes.build_command(run, many[:500]).startswith("dbt build --select 'package:shop,fqn")
    assert changes.build_command(run, many) == "dbt build"
    body = "\n".join(changes.lines_for_approver(run, many))
    assert "more than 500 nodes, so **everything** would be built" in body
    assert "and 401 more, in the log of the task before." in body
    assert "of branch `ma'in/<b>`" in body
