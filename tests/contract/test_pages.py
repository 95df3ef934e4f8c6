"""What a browser gets to see, without a token."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import httpx
import pytest

from include.local_dbt_cloud.api.pages import ago, in_words
from include.local_dbt_cloud.times import now
from tests.running_dbt_cloud import DAILY_BUILD, RunningDbtCloud

JOBS = "/v2/accounts/16173/jobs"
PLACE = "/deploy/16173/projects/36467"
MARKUP = '<script>alert(1)</script> & "quoted"'
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quoted&#34;"
JOB: dict[str, Any] = {
    "account_id": 16173,
    "project_id": 36467,
    "environment_id": 29118,
    "name": MARKUP,
    "description": MARKUP,
    "execute_steps": ["dbt build --select tag:daily", "dbt test"],
    "generate_docs": True,
    "triggers": {"schedule": True},
    "schedule": {"cron": "0 0 1 1 *"},  # starts nothing while tests run
    "job_completion_trigger_condition": {
        "condition": {"job_id": DAILY_BUILD, "project_id": 36467, "statuses": [20]}
    },
}


def page(server: RunningDbtCloud, path: str) -> str:
    answer = server.session.get(server.url + path, timeout=30)
    assert answer.ok, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def test_a_job_s_page_says_what_starts_it_and_what_it_runs(
    local_dbt_cloud: RunningDbtCloud, api: httpx.Client
) -> None:
    job_id = api.post(JOBS, json=JOB).json()["data"]["id"]
    path = f"{PLACE}/jobs/{job_id}"

    said, first = page(local_dbt_cloud, path), page(local_dbt_cloud, "/")
    api.delete(f"{JOBS}/{job_id}")

    assert f"<dd>{job_id}</dd>" in said
    assert said.count(ESCAPED) == 3  # title, heading, description
    assert "alert(1)</script>" not in said + first
    commands = "".join(f"<li><code>{each}</code></li>" for each in JOB["execute_steps"])
    assert f"{commands}<li><code>dbt docs generate</code></li>" in said
    for way in ("on day 1 of the month, only in January", "when Daily build has ended with Error"):
        assert way in said
        assert way in first
    assert "It has been deleted" not in said
    assert "It has been deleted" in page(local_dbt_cloud, path)
    assert ESCAPED not in page(local_dbt_cloud, "/")


def test_the_first_page_has_jobs_beside_runs(local_dbt_cloud: RunningDbtCloud) -> None:
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(cause=MARKUP, steps_override=["dbt parse"]))

    first = page(local_dbt_cloud, "/")
    jobs, runs = first.split("<h1>Runs</h1>")

    assert f"{PLACE}/jobs/{DAILY_BUILD}/" in jobs
    assert "only over the API" in jobs
    assert run["href"] in jobs  # its newest run
    assert run["href"] in runs
    assert ESCAPED in runs
    assert "alert(1)</script>" not in first


def test_a_run_s_page_follows_it_until_it_has_ended(local_dbt_cloud: RunningDbtCloud) -> None:
    warehouse = local_dbt_cloud.data / "warehouse.duckdb"
    local_dbt_cloud.wait(local_dbt_cloud.trigger(steps_override=["dbt deps"]))
    with duckdb.connect(warehouse):  # dbt waits for it
        run_id = local_dbt_cloud.trigger(steps_override=["dbt run --select stg_stores"])
        path = f"{PLACE}/runs/{run_id}/"
        going_on = page(local_dbt_cloud, path)
    local_dbt_cloud.wait(run_id)
    ended = page(local_dbt_cloud, path)

    assert '<main data-follow="1">' in going_on
    assert '<main data-follow="0">' in ended
    assert "Invoke dbt with `dbt run --select stg_stores`" in ended
    assert "manifest.json" in ended
    assert f"{PLACE}/jobs/{DAILY_BUILD}/" in ended


@pytest.mark.parametrize("path", ["/jobs/1", "/runs/999999", f"/../1/jobs/{DAILY_BUILD}"])
def test_there_is_no_page_of_what_is_not_there(local_dbt_cloud: RunningDbtCloud, path: str) -> None:
    assert local_dbt_cloud.session.get(local_dbt_cloud.url + PLACE + path).status_code == 404


def test_times_are_said_as_people_say_them() -> None:
    assert ago(now().isoformat()) == "just now"
    assert ago((now() - timedelta(hours=3, minutes=5)).isoformat()) == "3 hours ago"
    assert in_words("00:00:00") == "under a second"
    assert in_words("25:00:42") == "1 day, 1 hour"
