"""Runs: steps, artifacts, overrides, and lists."""

from __future__ import annotations

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import BUILD_AFTER_LOAD, DAILY_BUILD


def test_build_run_has_the_same_steps_as_in_dbt_cloud(local_dbt_cloud: LocalDbtCloud) -> None:
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD))
    assert run["is_success"], run["status_message"]
    assert [(step["index"], step["name"], step["status"]) for step in run["run_steps"]] == [
        (1, "Clone git repository", 10),
        (2, "Create profile from connection DuckDB", 10),
        (3, "Invoke dbt with `dbt deps`", 10),
        (4, "Invoke dbt with `dbt build`", 10),
    ]
    assert "Completed successfully" in run["run_steps"][3]["logs"]
    assert run["run_steps"][3]["debug_logs"] is None
    moments = [run[name] for name in ("created_at", "dequeued_at", "started_at", "finished_at")]
    assert moments == sorted(moments)


def test_each_step_keeps_its_artifacts(local_dbt_cloud: LocalDbtCloud) -> None:
    steps = ["dbt run --select stg_stores", "dbt test --select stg_stores"]
    run_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=steps, generate_docs_override=True)
    run = local_dbt_cloud.wait(run_id)
    assert run["has_docs_generated"]
    whats = [
        local_dbt_cloud.request(
            "GET", f"runs/{run_id}/artifacts/run_results.json?step={step}"
        ).json()["args"]["which"]
        for step in (4, 5)
    ]
    assert whats == ["run", "test"]
    assert "catalog.json" in local_dbt_cloud.get(f"runs/{run_id}/artifacts/")
    assert (
        local_dbt_cloud.request("GET", f"runs/{run_id}/artifacts/catalog.json?step=4").status_code
        == 404
    )


def test_run_without_artifacts_returns_null(local_dbt_cloud: LocalDbtCloud) -> None:
    run_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"])
    local_dbt_cloud.wait(run_id)
    assert local_dbt_cloud.get(f"runs/{run_id}/artifacts/") is None


def test_a_failing_step_ends_the_run(local_dbt_cloud: LocalDbtCloud) -> None:
    steps = ["dbt run-operation no_such_macro", "dbt build"]
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=steps))
    assert (run["status"], run["status_message"]) == (20, "dbt command failed")
    assert [step["status"] for step in run["run_steps"]] == [10, 10, 10, 20]
    assert "no_such_macro" in run["run_steps"][3]["logs"]


def test_run_of_an_uninstalled_dbt_version_fails_and_lists_the_choices(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    run = local_dbt_cloud.wait(
        local_dbt_cloud.trigger(DAILY_BUILD, dbt_version_override="1.7.0-latest")
    )

    assert (run["status"], run["run_steps"]) == (20, [])
    assert run["status_message"].startswith("dbt 1.7.0-latest is not installed here.")
    assert "with --dbt-python 1.7=PATH, or choose one of: 1." in run["status_message"]


def test_run_accepts_the_version_of_the_default_dbt(local_dbt_cloud: LocalDbtCloud) -> None:
    run = local_dbt_cloud.wait(
        local_dbt_cloud.trigger(
            DAILY_BUILD, dbt_version_override="1.11.0-latest", steps_override=["dbt deps"]
        )
    )

    assert run["is_success"]
    assert run["dbt_version"].startswith("1.11.")


def test_overrides_reach_dbt(local_dbt_cloud: LocalDbtCloud) -> None:
    run_id = local_dbt_cloud.trigger(
        DAILY_BUILD,
        steps_override=["dbt compile --select stg_stores"],
        schema_override="scratch",
        threads_override=2,
        target_name_override="ci",
    )
    run = local_dbt_cloud.wait(run_id)
    assert "(override schema to 'scratch')" in run["run_steps"][1]["name"]
    results = local_dbt_cloud.request("GET", f"runs/{run_id}/artifacts/run_results.json").json()
    manifest = local_dbt_cloud.request("GET", f"runs/{run_id}/artifacts/manifest.json").json()
    assert manifest["nodes"]["model.jaffle_shop.stg_stores"]["schema"].startswith("scratch")
    assert results["args"]["which"] == "compile"
    assert "Concurrency: 2 threads (target='ci')" in run["run_steps"][3]["logs"]


def test_runs_list_filters_orders_and_embeds_related_objects(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    ids = [local_dbt_cloud.trigger(BUILD_AFTER_LOAD, steps_override=["dbt deps"]) for _ in "ab"]
    local_dbt_cloud.wait(ids[-1])
    newest = local_dbt_cloud.get(
        "runs", job_definition_id=BUILD_AFTER_LOAD, order_by="-id", limit=2
    )
    assert [run["id"] for run in newest] == ids[::-1]
    for encoding in ("[10, 20]", "10,20", '["10"]', ["10", "20"]):
        runs = local_dbt_cloud.get("runs/", status__in=encoding)
        assert {run["status"] for run in runs} <= {10, 20}
        assert runs
    for related in (
        "run_steps,job",
        ["run_steps", "job"],
        '["run_steps", "job"]',
        "['run_steps','job']",
    ):
        run = local_dbt_cloud.get(f"runs/{ids[0]}", include_related=related)
        assert run["job"]["id"] == BUILD_AFTER_LOAD
        assert run["run_steps"]
    assert local_dbt_cloud.get(f"runs/{ids[0]}", include_related="")["job"] is None


def test_runs_list_returns_its_filters_order_and_pagination(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    ids = [local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"]) for _ in "ab"]
    response = local_dbt_cloud.request(
        "GET", f"runs/?limit=1000&offset=1&pk__in={ids}&job_definition_id={DAILY_BUILD}"
    ).json()
    assert response["extra"] == {
        "filters": {
            "limit": 100,
            "offset": 1,
            "state": "all",
            "account_id": local_dbt_cloud.account_id,
            "job_definition_id": DAILY_BUILD,
            "pk__in": ids,
        },
        "order_by": "id",
        "pagination": {"count": 1, "total_count": 2},
    }


def test_log_of_each_run_has_its_own_deprecations(local_dbt_cloud: LocalDbtCloud) -> None:
    """In one process, dbt would tell about the first, and count those of other runs."""
    for _ in range(2):
        run_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt ls --models stg_stores"])
        log = local_dbt_cloud.wait(run_id)["run_steps"][-1]["logs"]
        assert "Usage of `--models`" in log
        assert "ModelParamUsageDeprecation: 1 occurrence" in log
