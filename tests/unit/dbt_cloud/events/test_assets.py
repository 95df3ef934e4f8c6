"""Tests of the runs that an asset's URI selects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk import Asset

from include.dbt_cloud.events import FinishedRun, account_runs, job_runs
from include.dbt_cloud.events.run_filter import RunFilter, conn_id_of

RUN = FinishedRun(
    run_id=7,
    job_id=65767,
    job_name="Daily build, EU & US",
    project_id=36467,
    environment_id=29118,
    status="success",
    message="",
    cause="Kicked off by hand",
    started_at="2026-11-25T10:00:00+00:00",
    finished_at="2026-11-25T10:01:00+00:00",
    url="https://localhost:8580/deploy/16173/projects/36467/runs/7/",
    host="localhost:8580",
    account_id=16173,
)


@pytest.mark.parametrize(
    "asset",
    [
        job_runs(65767),
        account_runs(),
        account_runs(project_id=36467),
        account_runs(environment_id=29118, project_id=36467),
        account_runs(job_name="Daily build, EU & US"),
    ],
    ids=lambda asset: asset.uri,
)
def test_asset_matches_only_its_own_runs(asset: Asset) -> None:
    other = replace(RUN, job_id=1, job_name="Other", project_id=2, environment_id=3)

    assert RunFilter.of_uri(asset.uri).fits(RUN)
    assert RunFilter.of_uri(asset.uri).fits(other) == (asset == account_runs())


def test_asset_matches_a_job_name_in_its_stored_form() -> None:
    asset = account_runs(job_name="Daily \0 build")

    assert RunFilter.of_uri(asset.uri).fits(replace(RUN, job_name="Daily \ufffd build"))


def test_asset_rejects_an_id_that_is_not_a_number() -> None:
    """In the triggerer the watcher would fail repeatedly."""
    daily: Any = "daily"
    with pytest.raises(ValueError, match="daily"):
        job_runs(daily)
    with pytest.raises(ValueError, match="daily"):
        account_runs(project_id=daily, poll_interval=None)


def test_asset_uris_differ_by_connection() -> None:
    assert job_runs(65767).uri == "dbt-cloud://dbt_cloud_default/jobs/65767"
    assert job_runs(65767, "dbt_cloud_eu").uri == "dbt-cloud://dbt_cloud_eu/jobs/65767"


@pytest.mark.parametrize("conn_id", ["dbt/cloud", "dbt#cloud", "dbt:1", "Dbt.Cloud", "dbt cloud"])
def test_asset_uri_preserves_any_connection_id(conn_id: str) -> None:
    uri = job_runs(65767, conn_id).uri

    assert (conn_id_of(uri), RunFilter.of_uri(uri)) == (conn_id, RunFilter(job_id=65767))
