"""jobs.yaml comes first, the API has the last word."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from include.local_dbt_cloud.serving.data_folder import DataFolderError
from include.local_dbt_cloud.storage.changes import CREATED_IDS, define, next_id, set_state
from include.local_dbt_cloud.storage.jobs_file import JobsFile, read_jobs_file
from include.local_dbt_cloud.storage.schemas import Job
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import DELETED_STATE, JobRow
from tests.bundled import JOBS_FILE

DAILY_BUILD, BUILD_AFTER_LOAD = 65767, 30605


def renamed(job_id: int, name: str) -> JobsFile:
    """jobs.yaml as if its author had renamed a job."""
    jobs_file = read_jobs_file(JOBS_FILE)
    next(job for job in jobs_file.jobs if job.id == job_id).name = name
    return jobs_file


def name_of(store: Store, job_id: int) -> str:
    with store.read() as session:
        return session.get_one(JobRow, job_id).name


def change_by_api(store: Store, job_id: int, name: str) -> None:
    with store.write() as session:
        row = session.get_one(JobRow, job_id)
        define(row, Job.model_validate({**row.definition, "name": name}))


def test_changed_jobs_file_entry_replaces_the_stored_job(store: Store) -> None:
    store.apply_jobs_file(renamed(DAILY_BUILD, "Nightly"))
    assert name_of(store, DAILY_BUILD) == "Nightly"


def test_job_changed_over_the_api_stays_and_logs_a_warning(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    change_by_api(store, DAILY_BUILD, "Mine")
    store.apply_jobs_file(read_jobs_file(JOBS_FILE))
    assert not caplog.records
    store.apply_jobs_file(renamed(DAILY_BUILD, "Nightly"))
    assert name_of(store, DAILY_BUILD) == "Mine"
    assert f"job {DAILY_BUILD} was changed over the API" in caplog.text


def test_a_job_that_the_api_deleted_stays_deleted(store: Store) -> None:
    with store.write() as session:
        set_state(session, session.get_one(JobRow, DAILY_BUILD), DELETED_STATE)
    store.apply_jobs_file(renamed(DAILY_BUILD, "Nightly"))
    with store.read() as session:
        assert session.get_one(JobRow, DAILY_BUILD).state == DELETED_STATE


def test_new_jobs_file_entry_is_added_and_api_changes_stay(store: Store) -> None:
    change_by_api(store, DAILY_BUILD, "Mine")
    jobs_file = read_jobs_file(JOBS_FILE)
    jobs_file.jobs.append(jobs_file.jobs[0].model_copy(update={"id": 70001, "name": "Added"}))
    store.apply_jobs_file(jobs_file)
    assert [name_of(store, DAILY_BUILD), name_of(store, 70001)] == ["Mine", "Added"]


def test_new_jobs_file_entry_does_not_replace_a_job_of_the_api(store: Store) -> None:
    with store.write() as session:
        made = Job.model_validate({**vars(read_jobs_file(JOBS_FILE).jobs[0]), "id": 70001})
        home = {"account_id": 16173, "project_id": 36467, "environment_id": 29118}
        session.add(define(JobRow(**home), made))
    jobs_file = read_jobs_file(JOBS_FILE)
    jobs_file.jobs.append(jobs_file.jobs[0].model_copy(update={"id": 70001, "name": "Added"}))
    store.apply_jobs_file(jobs_file)
    assert name_of(store, 70001) == made.name


def test_next_id_returns_ids_of_its_own_range(store: Store) -> None:
    jobs_file = read_jobs_file(JOBS_FILE)
    jobs_file.jobs.append(jobs_file.jobs[0].model_copy(update={"id": 70403110257794}))
    store.apply_jobs_file(jobs_file)
    with store.write() as session:
        assert next_id(session, JobRow) == CREATED_IDS.start
        row = JobRow(account_id=16173, project_id=36467, environment_id=29118)
        session.add(define(row, jobs_file.jobs[0].model_copy(update={"id": CREATED_IDS.start})))
        session.flush()
        assert next_id(session, JobRow) == CREATED_IDS.start + 1


def test_store_rejects_a_database_of_another_version(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "dbt_cloud.db") as database:
        database.execute("create table jobs (id integer)")
    with pytest.raises(DataFolderError, match="made by another version"):
        Store(tmp_path / "dbt_cloud.db")


def test_store_rejects_a_broken_database(tmp_path: Path) -> None:
    (tmp_path / "dbt_cloud.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(DataFolderError, match="file is not a database"):
        Store(tmp_path / "dbt_cloud.db")
