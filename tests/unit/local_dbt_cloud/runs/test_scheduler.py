"""The times at which a schedule starts a job."""

from __future__ import annotations

import locale
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from include.local_dbt_cloud.runs.scheduler import due_times, queue_due_runs
from include.local_dbt_cloud.storage.runs import claim_next_run, create_run
from include.local_dbt_cloud.storage.schedule import describe_cron, next_time
from include.local_dbt_cloud.storage.schemas import RunRequest
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import DELETED_STATE, JobRow, RunRow
from include.local_dbt_cloud.times import now

JOB_ID = 65767
EVERY_HOUR = {"triggers": {"schedule": True}, "schedule": {"cron": "0 * * * *"}}
HOUR = timedelta(hours=1)


def schedule(store: Store, since: datetime, **changes: Any) -> None:
    """Give the job a schedule that was set at ``since``."""
    with store.write() as session:
        job = session.get_one(JobRow, JOB_ID)
        job.definition = job.definition | EVERY_HOUR | changes
        session.flush()
        session.execute(update(JobRow).where(JobRow.id == JOB_ID).values(updated_at=since))


def start_due(store: Store, moment: datetime) -> list[RunRow]:
    """Return all runs of the job after the scheduler has queued due runs."""
    with store.write() as session:
        queue_due_runs(session, moment)
        return list(session.scalars(select(RunRow).where(RunRow.job_id == JOB_ID)))


def next_due(store: Store) -> datetime | None:
    with store.read() as session:
        return next((due for job, due in due_times(session) if job.id == JOB_ID), None)


def test_job_starts_at_its_scheduled_time(store: Store) -> None:
    moment = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    schedule(store, since=moment)
    assert next_due(store) == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert start_due(store, datetime(2026, 3, 1, 10, 59, 59, tzinfo=UTC)) == []
    [run] = start_due(store, datetime(2026, 3, 1, 11, tzinfo=UTC))
    assert (run.trigger["cause"], run.trigger["cause_category"]) == ("scheduled", "scheduled")


def test_missed_times_start_a_job_once(store: Store) -> None:
    schedule(store, since=now() - 100 * HOUR)
    assert len(start_due(store, now())) == 1
    assert len(start_due(store, now())) == 1
    due = next_due(store)
    assert due
    assert now() < due <= now() + HOUR


def test_changed_job_does_not_start_for_earlier_times(store: Store) -> None:
    schedule(store, since=now())
    assert start_due(store, now()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"triggers": {"schedule": False}},
        {"schedule": {"date": {"type": "custom_cron", "cron": "0 0 30 2 *"}}},
    ],
    ids=["switched off", "30 February"],
)
def test_disabled_or_impossible_schedule_is_never_due(
    store: Store, changes: dict[str, Any]
) -> None:
    schedule(store, since=now() - 100 * HOUR, **changes)
    assert next_due(store) is None
    assert start_due(store, now()) == []


def test_a_deleted_job_is_never_due(store: Store) -> None:
    schedule(store, since=now() - 100 * HOUR)
    with store.write() as session:
        session.get_one(JobRow, JOB_ID).state = DELETED_STATE
    assert start_due(store, now()) == []


def test_newer_scheduled_run_cancels_older_waiting_ones(store: Store) -> None:
    """A job slower than its schedule must not fill the queue; its other runs stay."""
    schedule(store, since=now() - 100 * HOUR)
    first, *_ = start_due(store, now())
    with store.write() as session:
        claimed = claim_next_run(session, ci=False)
        assert claimed
        assert claimed.id == first.id
        create_run(session, session.get_one(JobRow, JOB_ID), RunRequest(cause="by hand"))
    for _ in range(3):
        runs = start_due(store, now() + 2 * HOUR)
    by_hand, waiting = (run for run in runs if run.status is Status.QUEUED)
    cancelled = [run for run in runs if run.status is Status.CANCELLED]
    assert by_hand.trigger["cause"] == "by hand"
    assert waiting.id == max(run.id for run in runs)
    assert len(cancelled) == 2
    assert "A newer scheduled run" in str(cancelled[0].status_message)


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 * * * *", "Every hour"),
        ("5 4 * * 0", "At 04:05 AM, only on Sunday"),
        ("@daily", "@daily"),
    ],
)
def test_describe_cron_returns_english_whatever_the_locale(
    cron: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locale, "getlocale", lambda: ("de_DE", "UTF-8"))  # the user's locale
    assert describe_cron(cron) == words


def test_next_time_returns_a_later_moment_or_none() -> None:
    moment = datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert next_time("0 * * * *", moment) == moment + HOUR
    assert next_time("0 0 30 2 *", moment) is None
