from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk.exceptions import AirflowFailException

from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.api.jobs import JOB_IDS, JobName, find_job_id, list_jobs, similar
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, DAILY_BUILD
from tests.unit.dbt_cloud.conftest import go_well, go_wrong
from tests.unit.dbt_cloud.made_jobs import PROJECT_ID, MadeJobs

DAILY = {"project_name": "Jaffle shop", "environment_name": "Production", "job_name": "Daily build"}


@pytest.fixture(autouse=True)
def new_process(dbt_cloud_connection: LocalDbtCloud) -> Iterator[None]:
    JOB_IDS.clear()
    yield
    JOB_IDS.clear()
    go_well(dbt_cloud_connection)


def find(**names: str) -> int:
    hook = DbtCloudHook("dbt_cloud_default")
    name = JobName("dbt_cloud_default", ACCOUNT_ID, **{**DAILY, **names})
    return find_job_id(hook, DbtCloudClient(hook, None), name)


def count_calls(server: LocalDbtCloud) -> None:
    go_wrong(server, "slow", method="GET", path="/api/*", times=100, seconds=0)


def calls(server: LocalDbtCloud) -> int:
    left: list[dict[str, Any]] = server.get("/faults")
    return 100 - int(left[0]["times"])


def test_find_job_id_calls_dbt_cloud_twice_per_process(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    count_calls(dbt_cloud_connection)

    assert find() == DAILY_BUILD
    assert calls(dbt_cloud_connection) == 2
    assert find() == DAILY_BUILD
    assert calls(dbt_cloud_connection) == 2


def test_find_job_id_searches_again_after_a_failure(jobs: MadeJobs) -> None:
    with pytest.raises(AirflowFailException):
        find(job_name="made later")

    job_id = jobs.make("made later")

    assert find(job_name="made later") == job_id


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"project_name": "Jafle shop"}, "no project named 'Jafle shop'; similar names: 'Jaffle"),
        ({"environment_name": "production"}, "named 'production'; similar names: 'Production'"),
        ({"job_name": "Daily builds"}, "no job named 'Daily builds'; similar names: 'Daily build'"),
    ],
    ids=["project", "environment", "job"],
)
def test_find_job_id_reports_an_unknown_name_with_similar_ones(
    names: dict[str, str], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        find(**names)


def test_find_job_id_lists_the_ids_of_jobs_with_one_name(jobs: MadeJobs) -> None:
    one, other = jobs.make("twice"), jobs.make("twice")

    with pytest.raises(AirflowFailException, match=f"2 jobs named 'twice': {one}, {other}"):
        find(job_name="twice")


def test_list_jobs_reads_every_page(jobs: MadeJobs) -> None:
    client = DbtCloudClient(DbtCloudHook("dbt_cloud_default"), None)
    made = [jobs.make(f"many_{number}") for number in range(200)]
    count_calls(jobs.server)

    listed = [job["id"] for job in list_jobs(client, project_id=PROJECT_ID, environment_id=None)]

    assert [job_id for job_id in listed if job_id in made] == made
    assert listed == sorted(set(listed))
    assert calls(jobs.server) == 3


def test_similar_returns_near_names_or_the_first_few() -> None:
    names = ["finance_marts", "finance_staging", "marketing"]

    assert similar("finanse_marts", names).startswith("'finance_marts'")
    assert similar("xyz", names) == "'finance_marts', 'finance_staging', 'marketing'"
    assert similar("xyz", []) == "none"
