"""Tests of the watcher in Airflow's shared streams, with the local dbt Cloud."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.triggers.shared_stream import SharedStreamManager
from sqlalchemy import delete
from sqlalchemy.orm import Session

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.async_client import AsyncDbtCloudClient
from include.dbt_cloud.api.responses import DbtCloudRefusedError, NoAnswerError
from include.dbt_cloud.api.runs import PAGE
from include.dbt_cloud.events import FinishedRun, account_runs, job_runs, newest_finished_run
from include.dbt_cloud.events.listed import CATCH_UP, LOOK_BACK, Cursor, Listing, list_finished_runs
from include.dbt_cloud.events.watcher import CURSOR_KEY, SUBSCRIBERS, FinishedRunsProducer
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import RunRow
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, BUILD_AFTER_LOAD, DAILY_BUILD, JOBS_FILE, TOKEN
from tests.unit.dbt_cloud.conftest import go_well, go_wrong
from tests.unit.dbt_cloud.events.test_assets import RUN
from tests.unit.dbt_cloud.events.test_finished_run import ACCOUNT, WEBHOOK
from tests.unit.dbt_cloud.run.test_trigger import count_calls

CI_JOB, CI_ENVIRONMENT = 48621, 29119
TIME_LIMIT = 60.0  # seconds; for a busy machine
LONG_AGO = datetime(1969, 1, 1, tzinfo=UTC)  # before all runs
LOOKS = {"method": "GET", "path": "*/runs"}
trigger_ids = count(1)


@pytest.fixture(scope="module")
def own_server(local_dbt_cloud_factory: MakeLocalDbtCloud) -> Iterator[LocalDbtCloud]:
    """Start a dbt Cloud for these tests only."""
    with local_dbt_cloud_factory() as server:
        yield server


@pytest.fixture
def server(own_server: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalDbtCloud]:
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", own_server.connection)
    yield own_server
    go_well(own_server)


def finish(
    server: LocalDbtCloud,
    job_id: int = DAILY_BUILD,
    ago: timedelta = timedelta(0),
    status: Status = Status.SUCCESS,
    times: int = 1,
    **odd: Any,
) -> list[int]:
    """Add finished runs of a job with the given age, without running dbt."""
    job = next(job for job in read_jobs_file(JOBS_FILE).jobs if job.id == job_id)
    at = datetime.now(UTC) - ago
    fields: dict[str, Any] = {
        "account_id": server.account_id,
        "project_id": job.project_id,
        "environment_id": job.environment_id,
        "job_id": job.id,
        "trigger": {"cause": "Kicked off by hand"},
        "job_definition": job.model_dump(mode="json"),
        "status_code": int(status),
        "created_at": at,
        "started_at": at,
        "finished_at": at,
    }
    with changing(server) as session:
        rows = [RunRow(**fields | odd) for _ in range(times)]
        session.add_all(rows)
        session.flush()
        return [row.id for row in rows]


@contextmanager
def changing(server: LocalDbtCloud) -> Iterator[Session]:
    store = Store(server.data / "dbt_cloud.db")
    with store.write() as session:
        yield session
    store.close()


def forget(server: LocalDbtCloud, *runs: int) -> None:
    """Delete runs, so that other tests do not list them."""
    with changing(server) as session:
        session.execute(delete(RunRow).where(RunRow.id.in_(runs)))


@dataclass
class Watched:
    """An asset in Airflow, with its state store and its events in the database."""

    asset: Asset
    stored: dict[str, Any] = field(default_factory=dict)
    fired: list[FinishedRun] = field(default_factory=list)

    async def aget(self, key: str) -> Any:
        return self.stored.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self.stored[key] = value

    @property
    def runs(self) -> list[int]:
        return [run.run_id for run in self.fired]

    def has_seen(self, *runs: int) -> bool:
        return {*runs} <= {*self.stored.get(CURSOR_KEY, {}).get("known", ())}

    async def watch(self, streams: SharedStreamManager, is_stored: bool) -> None:
        """Watch as the triggerer does."""
        made = self.asset.watchers[0].trigger
        trigger: Any = type(made)(**made.serialize()[1])
        trigger.asset_state_store = self
        number, key = next(trigger_ids), trigger.shared_stream_key()
        stream = streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                seq = streams.bind_pending_event(trigger_id=number, key=key)
                assert seq is not None
                if is_stored:
                    run = FinishedRun.of_extra(event.payload)
                    assert run
                    self.fired.append(run)
                    streams.confirm_persisted([seq])
        finally:
            await streams.unsubscribe(number, key)


@asynccontextmanager
async def triggerer(*watched: Watched, is_stored: bool = True) -> AsyncIterator[None]:
    """Run a triggerer for the block; without ``is_stored`` its events are not stored."""
    streams = SharedStreamManager()
    tasks = [asyncio.create_task(one.watch(streams, is_stored)) for one in watched]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(TIME_LIMIT):
        while not look():
            await asyncio.sleep(0.02)


async def begun(*watched: Watched) -> None:
    """Start and stop the watchers."""
    async with triggerer(*watched):
        await until(lambda: all(CURSOR_KEY in one.stored for one in watched))


def account_of(server: LocalDbtCloud) -> Account:
    return Account(server.host, server.account_id)


def daily_build() -> Watched:
    return Watched(job_runs(DAILY_BUILD, poll_interval=0.1))


def test_watcher_starts_now_and_makes_one_event_per_run(server: LocalDbtCloud) -> None:
    watched = daily_build()
    finish(server)

    async def story() -> None:
        async with triggerer(watched):
            await until(lambda: watched.stored)
            (first,) = finish(server, status=Status.ERROR)
            await until(lambda: watched.has_seen(first))
            (second,) = finish(server)
            await until(lambda: watched.has_seen(first, second))
        assert watched.runs == [first, second]

    asyncio.run(story())

    listed = server.get(f"runs/{watched.runs[0]}/", include_related="job,trigger")
    assert watched.fired[0] == FinishedRun.of_listed(listed, account_of(server))
    assert (watched.fired[0].status, watched.fired[0].job_name) == ("error", "Daily build")
    assert not SUBSCRIBERS["dbt_cloud_default"]


def test_watchers_of_a_connection_share_one_call(server: LocalDbtCloud) -> None:
    jobs = (DAILY_BUILD, BUILD_AFTER_LOAD, CI_JOB)
    # The shortest interval counts.
    many = [Watched(job_runs(job, poll_interval=1000.0)) for job in jobs]
    all_of_them = Watched(account_runs(poll_interval=0.5))

    async def story() -> None:
        await begun(*many, all_of_them)
        count_calls(server)
        async with triggerer(*many, all_of_them):
            await until(lambda: count_calls(server))
            runs = [finish(server, job)[0] for job in jobs]
            await until(lambda: all(one.has_seen(*runs) for one in many))
        assert [one.runs for one in many] == [[run] for run in runs]
        assert sorted(all_of_them.runs) == runs
        triggers: list[Any] = [one.asset.watchers[0].trigger for one in (*many, all_of_them)]
        assert len({trigger.shared_stream_key() for trigger in triggers}) == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("asset", "job"),
    [
        (job_runs(BUILD_AFTER_LOAD, poll_interval=0.1), BUILD_AFTER_LOAD),
        (account_runs(environment_id=CI_ENVIRONMENT, poll_interval=0.1), CI_JOB),
        (account_runs(job_name="Daily build", poll_interval=0.1), DAILY_BUILD),
    ],
    ids=lambda value: getattr(value, "uri", value),
)
def test_watcher_makes_events_of_its_own_runs_only(
    server: LocalDbtCloud, asset: Asset, job: int
) -> None:
    watched = Watched(asset)

    async def story() -> None:
        async with triggerer(watched):
            await until(lambda: watched.stored)
            runs = [finish(server, each)[0] for each in (CI_JOB, DAILY_BUILD, BUILD_AFTER_LOAD)]
            await until(lambda: watched.has_seen(*runs))

    asyncio.run(story())

    assert [run.job_id for run in watched.fired] == [job]


def test_watcher_reports_runs_that_ended_while_no_triggerer_ran(server: LocalDbtCloud) -> None:
    watched = daily_build()

    async def story() -> None:
        await begun(watched)
        missed = finish(server, times=250, ago=timedelta(minutes=1))  # three pages
        async with triggerer(watched):
            await until(lambda: watched.has_seen(*missed))
        assert watched.runs == missed
        async with triggerer(watched):
            (last,) = finish(server)
            await until(lambda: watched.has_seen(last))
        assert watched.runs == [*missed, last]

    asyncio.run(story())


def test_watcher_repeats_an_event_that_was_not_stored(server: LocalDbtCloud) -> None:
    watched = daily_build()

    async def story() -> None:
        await begun(watched)
        (run,) = finish(server)
        before = dict(watched.stored)
        async with triggerer(watched, is_stored=False):
            await until(lambda: SUBSCRIBERS["dbt_cloud_default"])
            await asyncio.sleep(1)  # several polls
        assert (watched.runs, watched.stored) == ([], before)
        async with triggerer(watched):
            await until(lambda: watched.has_seen(run))
        assert watched.runs == [run]

    asyncio.run(story())


def test_watcher_reports_runs_that_are_listed_late(server: LocalDbtCloud) -> None:
    watched = daily_build()

    async def story() -> None:
        async with triggerer(watched):
            await until(lambda: watched.stored)
            (newer,) = finish(server)
            await until(lambda: watched.has_seen(newer))
            late = finish(server, ago=timedelta(minutes=2), times=2)
            await until(lambda: watched.has_seen(newer, *late))
        assert watched.runs == [newer, *late]

    asyncio.run(story())


def test_watcher_that_joins_later_uses_its_own_cursor(server: LocalDbtCloud) -> None:
    early, late = daily_build(), Watched(account_runs(poll_interval=0.1))

    async def story() -> None:
        await begun(late)
        async with triggerer(early):
            await until(lambda: early.stored)
            (run,) = finish(server)
            await until(lambda: early.has_seen(run))
            async with triggerer(late):
                await until(lambda: late.has_seen(run))
        assert early.runs == late.runs == [run]

    asyncio.run(story())


def test_watcher_ignores_a_poll_that_starts_after_its_cursor() -> None:
    """A watcher can receive a poll that was made before it had read its cursor."""
    watched = daily_build()
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    watched.stored[CURSOR_KEY] = Cursor(an_hour_ago, frozenset()).as_json()
    made: Any = watched.asset.watchers[0].trigger
    trigger = type(made)(**made.serialize()[1])
    trigger.asset_state_store = watched

    earlier = (an_hour_ago + timedelta(minutes=30), RUN)
    later = (datetime.now(UTC), replace(RUN, run_id=8))

    async def listings() -> AsyncIterator[Listing]:
        yield Listing([later], since=datetime.now(UTC), account="")
        yield Listing([earlier, later], since=an_hour_ago - LOOK_BACK, account="")

    async def story() -> list[Any]:
        return [event.payload async for event in trigger.filter_shared_stream(listings())]

    assert asyncio.run(story()) == [run.as_extra() for _at, run in (earlier, later)]


def test_watcher_omits_no_run_after_days_without_any(
    server: LocalDbtCloud, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(job_runs(48618, poll_interval=0.1))
    (old,) = finish(server, 48618, ago=timedelta(days=10))
    ended = datetime.fromisoformat(server.get(f"runs/{old}/")["finished_at"])
    watched.stored[CURSOR_KEY] = Cursor(ended, frozenset({old})).as_json()

    async def story() -> None:
        async with triggerer(watched):
            (run,) = finish(server, 48618)
            await until(lambda: watched.has_seen(run))
        assert watched.runs == [run]

    asyncio.run(story())

    assert "skipped" not in caplog.text


def test_watcher_omits_runs_of_more_than_three_days_ago(
    server: LocalDbtCloud, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(job_runs(48620, poll_interval=0.1))
    long_ago = (datetime.now(UTC) - timedelta(days=10)).isoformat()
    watched.stored[CURSOR_KEY] = {"until": long_ago, "known": []}
    finish(server, 48620, ago=CATCH_UP + timedelta(hours=1), times=100)
    recent = finish(server, 48620, ago=CATCH_UP - timedelta(hours=1))
    newest = finish(server, 48620)

    async def story() -> None:
        async with triggerer(watched):
            await until(lambda: watched.has_seen(*newest))

    asyncio.run(story())

    assert watched.runs == [*recent, *newest]
    assert "runs older than 3 days are skipped" in caplog.text


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = "include.dbt_cloud.events."
    return [record.message for record in caplog.records if record.name.startswith(ours)]


def test_watcher_skips_an_unreadable_run_with_one_warning(
    server: LocalDbtCloud, caplog: pytest.LogCaptureFixture
) -> None:
    watched = daily_build()

    async def story() -> tuple[int, list[int]]:
        async with triggerer(watched):
            await until(lambda: watched.stored)
            (odd,) = finish(server, started_at=LONG_AGO)
            runs: list[int] = []
            for _ in range(3):  # one poll each
                runs += finish(server)
                await until(partial(watched.has_seen, *runs))
            return odd, runs

    odd, runs = asyncio.run(story())
    forget(server, odd)

    assert watched.runs == runs
    (warning,) = logged(caplog)
    assert f"dbt_cloud_default: skipped dbt Cloud run {odd}: the start is '1969-" in warning


def test_poll_reads_the_page_after_one_of_runs_without_an_end(server: LocalDbtCloud) -> None:
    """A database can sort them first; the local dbt Cloud sorts them last."""
    whole = server.get(f"runs/{finish(server)[0]}/", include_related="job,trigger")
    pages = [[whole | {"id": at, "finished_at": None} for at in range(PAGE)], [whole]]
    asked: list[int] = []

    class FirstThoseWithoutAnEnd(AsyncDbtCloudClient):
        account = account_of(server)

        async def get(self, path: str, **params: Any) -> Any:
            asked.append(params["offset"])
            return pages[params["offset"] // PAGE]

    listing = asyncio.run(list_finished_runs(FirstThoseWithoutAnEnd("dbt_cloud_default"), None))

    assert [run for _at, run in listing.runs] == [FinishedRun.of_listed(whole, account_of(server))]
    assert (len(listing.unreadable), asked) == (PAGE, [0, PAGE])


def test_poll_stops_after_1000_unreadable_runs() -> None:
    asked: list[int] = []

    class Endless(AsyncDbtCloudClient):
        account = ACCOUNT

        async def get(self, path: str, **params: Any) -> Any:
            asked.append(params["offset"])
            return [{"id": params["offset"] + number} for number in range(PAGE)]

    with pytest.raises(ValueError, match="could not read any of 1000 listed runs: status is None"):
        asyncio.run(list_finished_runs(Endless("dbt_cloud_default"), None))

    assert len(asked) == 10


def test_watcher_reports_runs_beside_one_that_ends_in_the_future(server: LocalDbtCloud) -> None:
    watched, late = daily_build(), Watched(account_runs(poll_interval=0.1))

    async def story() -> list[int]:
        async with triggerer(watched):
            await until(lambda: watched.stored)
            runs = finish(server, ago=timedelta(days=-3000))
            await until(lambda: watched.has_seen(*runs))
            for _ in range(2):
                runs += finish(server)
                await until(partial(watched.has_seen, *runs))
            async with triggerer(late):  # which begins now
                await until(lambda: late.stored)
                runs += finish(server)
                await until(lambda: watched.has_seen(*runs) and late.has_seen(*runs))
            return runs

    runs = asyncio.run(story())
    forget(server, runs[0])

    assert watched.runs == runs
    assert late.runs == runs[-1:]


def test_watcher_makes_an_event_of_a_run_with_unstorable_text(server: LocalDbtCloud) -> None:
    watched = daily_build()

    async def story() -> list[int]:
        async with triggerer(watched):
            await until(lambda: watched.stored)
            job = read_jobs_file(JOBS_FILE).jobs[0].model_dump(mode="json") | {"name": "a\0b"}
            runs = finish(server, trigger={"cause": "by \0 hand"}, job_definition=job)
            await until(lambda: watched.has_seen(*runs))
            return runs

    (run,) = asyncio.run(story())
    forget(server, run)

    assert (watched.runs, watched.fired[0].cause) == ([run], "by \ufffd hand")


class NotStored(Watched):
    """An asset whose cursor can be stored only once."""

    async def aset(self, key: str, value: Any) -> None:
        if key in self.stored:
            raise RuntimeError("the asset is gone")
        await super().aset(key, value)


def test_watcher_whose_cursor_cannot_be_stored_stops_no_other(
    server: LocalDbtCloud, caplog: pytest.LogCaptureFixture
) -> None:
    gone, watched = NotStored(account_runs(poll_interval=0.1)), daily_build()

    async def story() -> list[int]:
        async with triggerer(gone, watched):
            await until(lambda: gone.stored and watched.stored)
            runs: list[int] = []
            for _ in range(2):
                runs += finish(server)
                await until(partial(watched.has_seen, *runs))
            return runs

    assert asyncio.run(story()) == watched.runs == gone.runs
    assert f"Could not store the cursor of {gone.asset.uri}: the asset is gone" in caplog.text


@pytest.mark.parametrize(
    "stored",
    ["text", {"until": "soon", "known": []}, {"until": "9999-01-01T00:00:00+00:00", "known": []}],
    ids=str,
)
def test_watcher_starts_now_when_its_cursor_cannot_be_read(
    server: LocalDbtCloud, caplog: pytest.LogCaptureFixture, stored: Any
) -> None:
    watched = daily_build()
    watched.stored[CURSOR_KEY] = stored
    finish(server)

    async def story() -> list[int]:
        async with triggerer(watched):
            await until(lambda: watched.stored[CURSOR_KEY] != stored)
            runs = finish(server)
            await until(lambda: watched.has_seen(*runs))
            return runs

    assert asyncio.run(story()) == watched.runs
    assert "A watcher starts at now: its stored cursor cannot be read." in caplog.text


def test_newest_finished_run_skips_unreadable_runs(
    server: LocalDbtCloud, caplog: pytest.LogCaptureFixture
) -> None:
    (newest,) = finish(server)
    (odd,) = finish(server, started_at=LONG_AGO)  # it ended later

    run = newest_finished_run(DAILY_BUILD)
    forget(server, odd)

    assert run
    assert run.run_id == newest
    assert f"skipped dbt Cloud run {odd}: the start is '1969-" in caplog.text


def test_url_of_a_finished_run_without_a_project_returns_that_run(server: LocalDbtCloud) -> None:
    (made,) = finish(server)
    data = WEBHOOK["data"] | {"runId": str(made), "projectId": None}

    run = FinishedRun.of_webhook(WEBHOOK | {"data": data}, account_of(server))

    answer = server.client.get(run.url, headers={"Authorization": f"Token {TOKEN}"})
    assert answer.json()["data"]["id"] == made


@pytest.mark.parametrize("kind", ["429", "503", "close-before"])
def test_watcher_logs_a_problem_once_and_loses_no_run(
    server: LocalDbtCloud, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level("INFO")
    watched = daily_build()

    async def story() -> None:
        await begun(watched)
        go_wrong(server, kind, times=2, **LOOKS)
        runs = finish(server)
        async with triggerer(watched):
            await until(lambda: watched.has_seen(*runs))
        assert watched.runs == runs

    asyncio.run(story())

    logged = [record for record in caplog.records if record.name.endswith("events.watcher")]
    assert [record.levelname for record in logged] == ["WARNING", "INFO"]
    assert "could not poll finished runs, and retries; none is lost." in logged[0].message
    assert logged[1].message == "dbt_cloud_default: polling of finished runs works again."


@pytest.mark.parametrize(
    ("changes", "logged"),
    [
        ({"password": "wrong"}, "dbt Cloud returned 401: Invalid token."),
        ({"login": None}, "Connection dbt_cloud_default has no account id: set its login"),
    ],
    ids=["token", "account"],
)
def test_watcher_logs_a_connection_error(
    server: LocalDbtCloud,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    logged: str,
) -> None:
    connection = json.dumps(json.loads(server.connection) | changes)
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", connection)

    async def story() -> None:
        async with triggerer(daily_build()):
            await until(lambda: logged in caplog.text)

    asyncio.run(story())


def test_poll_delay_grows_and_follows_retry_after() -> None:
    poll = FinishedRunsProducer("dbt_cloud_default")
    no_answer = NoAnswerError("dbt Cloud returned 503")

    assert [poll.failed(no_answer) for _ in range(7)] == [1, 2, 4, 8, 16, 32, 60]
    poll.worked()
    assert poll.failed(NoAnswerError("dbt Cloud returned 429", retry_after=30)) == 30
    assert poll.failed(NoAnswerError("dbt Cloud returned 429", retry_after=86400)) == 60
    assert poll.failed(DbtCloudRefusedError(401, "Invalid token.")) == 60
    poll.worked()
    assert poll.failed(no_answer) == 1


def test_poll_interval_must_be_positive_or_none() -> None:
    assert not job_runs(DAILY_BUILD, poll_interval=None).watchers
    with pytest.raises(ValueError, match="must be positive or None"):
        job_runs(DAILY_BUILD, poll_interval=0)


def test_each_asset_has_a_trigger_of_its_own() -> None:
    """Airflow merges triggers with equal arguments, which would then share a cursor."""
    made = [asset.watchers[0].trigger.serialize() for asset in (account_runs(), job_runs(1))]

    assert made[0] == (
        "include.dbt_cloud.events.watcher.DbtCloudRunsTrigger",
        {"uri": "dbt-cloud://dbt_cloud_default/runs", "poll_interval": 30.0},
    )
    assert made[0] != made[1]


EU, EU_ACCOUNT = "dbt_cloud_eu", 20042


@pytest.fixture(scope="module")
def other_server(
    local_dbt_cloud_factory: MakeLocalDbtCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalDbtCloud]:
    """Start a dbt Cloud with another account, in which all ids are the same."""
    jobs = JOBS_FILE.read_text()
    assert jobs.count(f"id: {ACCOUNT_ID}\n") == 1
    file = tmp_path_factory.mktemp("europe") / "jobs.yaml"
    file.write_text(jobs.replace(f"id: {ACCOUNT_ID}\n", f"id: {EU_ACCOUNT}\n"))
    with local_dbt_cloud_factory("--jobs", file) as server:
        yield server


def test_watchers_of_two_accounts_with_the_same_ids_make_an_event_each(
    server: LocalDbtCloud, other_server: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{EU.upper()}", other_server.connection)
    ours, theirs = daily_build(), Watched(job_runs(DAILY_BUILD, EU, poll_interval=0.1))

    async def story() -> int:
        async with triggerer(ours, theirs):
            await until(lambda: ours.stored and theirs.stored)
            (run,) = finish(server)
            finish(other_server, id=run)
            await until(lambda: ours.has_seen(run) and theirs.has_seen(run))
            return run

    run = asyncio.run(story())
    forget(other_server, run)

    assert ours.runs == theirs.runs == [run]
    assert [one.url for one in (*ours.fired, *theirs.fired)] == [
        f"{each.url}/deploy/{each.account_id}/projects/36467/runs/{run}/"
        for each in (server, other_server)
    ]
    assert not ours.fired[0].is_same(theirs.fired[0])


def test_watcher_of_an_account_continues_while_another_account_refuses(
    server: LocalDbtCloud, other_server: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = json.dumps(json.loads(other_server.connection) | {"password": "wrong"})
    monkeypatch.setenv(f"AIRFLOW_CONN_{EU.upper()}", refused)
    ours, theirs = daily_build(), Watched(job_runs(DAILY_BUILD, EU, poll_interval=0.1))

    async def story() -> list[int]:
        async with triggerer(ours, theirs):
            await until(lambda: ours.stored)
            runs = finish(server)
            await until(lambda: ours.has_seen(*runs))
            return runs

    assert asyncio.run(story()) == ours.runs
    assert not theirs.stored


def test_watchers_of_two_connections_to_one_account_make_one_event_each(
    server: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{EU.upper()}", server.connection)
    ours, theirs = daily_build(), Watched(job_runs(DAILY_BUILD, EU, poll_interval=0.1))

    async def story() -> list[int]:
        async with triggerer(ours, theirs):
            await until(lambda: ours.stored and theirs.stored)
            runs = finish(server) + finish(server)
            await until(lambda: ours.has_seen(*runs) and theirs.has_seen(*runs))
            return runs

    assert asyncio.run(story()) == ours.runs == theirs.runs
    assert ours.fired == theirs.fired


def test_watcher_starts_now_when_its_connection_changes_to_another_account(
    server: LocalDbtCloud,
    other_server: LocalDbtCloud,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = daily_build()
    asyncio.run(begun(watched))
    earlier = finish(other_server)  # after the cursor, in an account that was not watched
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", other_server.connection)

    async def story() -> list[int]:
        async with triggerer(watched):
            await until(lambda: f"{EU_ACCOUNT}" in watched.stored[CURSOR_KEY]["account"])
            runs = finish(other_server)
            await until(lambda: watched.has_seen(*runs))
            return runs

    runs = asyncio.run(story())
    forget(other_server, *earlier, *runs)

    assert watched.runs == runs
    there = f"account {EU_ACCOUNT} on {other_server.host}"
    assert f"changed from account {ACCOUNT_ID} on {server.host} to {there}." in caplog.text
