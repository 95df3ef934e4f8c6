"""Random sequences of tries, crashes, clears, edits and people's actions in dbt Cloud.

The task runs against the local dbt Cloud's API in this process, whose runs finish only when the
search finishes them. By default the same few sequences are tried each time;
``SEARCH_EXAMPLES=300 pytest tests/search/test_exactly_once.py`` searches new ones for minutes. Each
finding becomes a separate test, or a row of the crash table.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
import requests
import uvicorn
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.sdk.exceptions import TaskDeferred
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete

from include.dbt_cloud.airflow.compat import AirflowException
from include.local_dbt_cloud.api.http_protocol import HttpProtocol
from include.local_dbt_cloud.app import create_app, make_server
from include.local_dbt_cloud.command_line import parse_settings
from include.local_dbt_cloud.runs.outcomes import CANCELLED, FAILED, SUCCEEDED, Outcome, end_run
from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.start_checks import outputs_of
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.local_dbt_cloud.storage.runs import move_run
from include.local_dbt_cloud.storage.statuses import FINISHED, Status
from include.local_dbt_cloud.storage.tables import RunRow
from include.local_dbt_cloud.testing import LocalDbtCloud, free_port, share_authority
from tests.bundled import DAILY_BUILD, JOBS_FILE
from tests.unit.dbt_cloud.conftest import Task, go_well, go_wrong

EXAMPLES = int(os.environ.get("SEARCH_EXAMPLES", "10"))
ENDINGS = [SUCCEEDED, FAILED, CANCELLED]
START = {"method": "POST", "path": "*/runs/*/retry*"}, {"method": "POST", "path": "*/run*"}


class DbtCloudInProcess(LocalDbtCloud):
    """The local dbt Cloud's API over TLS, in a thread, without its runner."""

    def start(self) -> DbtCloudInProcess:
        options = parse_settings(["--data", str(self.data)])
        jobs_file = read_jobs_file(JOBS_FILE)
        self.app = make_server(options, jobs_file, outputs_of(options, jobs_file))
        certificates = ensure_certificates(self.data)
        self.server = uvicorn.Server(
            uvicorn.Config(
                create_app(self.app),
                port=self.port,
                http=HttpProtocol,
                lifespan="off",
                ssl_certfile=certificates.server,
                ssl_keyfile=str(certificates.server_key),
                log_level="error",
            )
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self._wait()
        return self

    __enter__ = start

    def end(self, *_: Any) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()
        self.app.store.close()
        super().end()

    def forget_runs(self) -> None:
        with self.app.store.write() as session:
            session.execute(delete(RunRow))

    def finish(self, run_id: int, outcome: Outcome) -> None:
        with self.app.store.write() as session:
            run = session.get_one(RunRow, run_id)
            run.artifacts_saved = True  # so that it can be resumed
            for status in (Status.STARTING, Status.RUNNING):
                move_run(run, status)
            end_run(session, run, outcome)


class WorkerDiedError(BaseException):
    """A worker died, as by SIGKILL, which a task cannot handle."""


class Airflow(Task):
    """One task instance in Airflow's database.

    ``state`` is ``queued`` before the next try, ``deferred`` while it waits for its run, or its
    final state. ``followed`` is the run of its newest try.
    """

    is_3_4 = clears_on_success = False
    is_marked = False
    state = "queued"
    followed = 0
    seen_clears = 0  # of the Dag run, at the newest try

    @property
    def looks_cleared(self) -> bool:
        """Return whether Airflow's counters are those of a clear, as after an edit of retries."""
        is_sum = self.try_number + self.retries == self.max_tries
        return is_sum and self.clear_number != self.seen_clears

    def begin_try(self, calls_until_death: int | None = None) -> None:
        """Run one try, up to its end or its deferral."""
        with dying_after(calls_until_death):
            try:
                self._end("success", self.try_(deferrable=True))
            except TaskDeferred as deferred:
                self.state = "deferred"
                self.followed = deferred.trigger.target.run_id
            except (DbtCloudJobRunException, AirflowException):
                self.fail()
            except WorkerDiedError:
                self.fail()

    def resume(self) -> None:
        """Resume the task after its run has finished."""
        event = {"run_id": self.followed, "outcome": "ended", "message": ""}
        operator = self.operator(deferrable=True)
        try:
            self._end("success", operator.execute_complete(self.context(operator), event))
        except DbtCloudJobRunException:
            self.fail()

    def fail(self) -> None:
        self.state = "queued" if self.try_number <= self.max_tries else "failed"

    def _end(self, state: str, run_id: int) -> None:
        self.state, self.followed = state, run_id
        if self.clears_on_success:
            self.stored.clear()

    def clear(self, keeps_task_state: bool = False) -> None:
        super().clear()
        self.state, self.is_marked = "queued", False
        if self.is_3_4 and not keeps_task_state:
            self.stored.clear()


@contextmanager
def dying_after(calls: int | None) -> Iterator[None]:
    """Raise WorkerDiedError before or after one of the next calls of dbt Cloud."""
    request, moments = requests.Session.request, itertools.count()

    def survive() -> None:
        if next(moments) == calls:
            raise WorkerDiedError

    def dying(*arguments: Any, **options: Any) -> Any:
        survive()
        answer = request(*arguments, **options)
        survive()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        if calls is not None:
            patch.setattr(requests.Session, "request", dying)
        yield


class Search(RuleBasedStateMachine):
    """A search for violations of the invariants and the rules' assertions."""

    server: DbtCloudInProcess

    @initialize(is_3_4=st.booleans(), clears=st.booleans(), hours=st.integers(-20, 20))
    def begin(self, is_3_4: bool, clears: bool, hours: int) -> None:
        self.server.forget_runs()
        go_well(self.server)
        self.hours = hours
        self.task = self.new_task(is_3_4, clears)
        self.began_after = 0  # the newest run when the Dag run was made
        self.is_cleared = False

    def new_task(self, is_3_4: bool, clears: bool) -> Airflow:
        task = Airflow(self.server, steps_override=["dbt build"], lost_answer_seconds=0.02)
        task.is_3_4, task.clears_on_success = is_3_4, clears
        task.started += timedelta(hours=self.hours)  # between Airflow's clock and dbt Cloud's
        return task

    @property
    def newest(self) -> dict[str, Any] | None:
        listed = self.server.get("runs/", order_by="-id", limit=1)
        return listed[0] if listed else None

    def runs(self) -> list[dict[str, Any]]:
        """Return the task's runs and those that people resumed, oldest first."""
        listed = self.server.get(
            "runs/", order_by="id", id__gt=self.began_after, include_related="trigger", limit=100
        )
        return [one for one in listed if f"{self.task.run_id} [" in one["trigger"]["cause"]]

    def try_once(self, **death: Any) -> None:
        before = self.runs()
        self.task.begin_try(**death)
        self.task.seen_clears = self.task.clear_number
        after = self.runs()
        started = [one["id"] for one in after[len(before) :]]
        assert len(started) <= 1
        if before and not self.is_cleared:
            is_good = before[-1]["status"] not in (20, 30)
            assert not (is_good and started), "a run that is active or succeeded is not repeated"
        if self.task.state == "deferred" or self.task.state == "success":
            if self.is_cleared:
                assert self.task.followed > self.cleared_run, "a clear has an effect"
            self.is_cleared = False

    @precondition(lambda self: self.task.state == "queued")
    @rule()
    def try_(self) -> None:
        self.try_once()

    @precondition(lambda self: self.task.state == "queued")
    @rule(calls=st.integers(0, 12))
    def worker_dies(self, calls: int) -> None:
        self.try_once(calls_until_death=calls)

    @precondition(lambda self: self.task.state == "queued")
    @rule(kind=st.sampled_from(["close-after", "close-before", "truncate", "503", "429"]))
    def dbt_cloud_fails(self, kind: str) -> None:
        for call in START:
            go_wrong(self.server, kind, seconds=0, **call)
        self.try_once()
        go_well(self.server)

    @precondition(lambda self: self.task.state == "deferred")
    @rule(outcome=st.sampled_from(ENDINGS))
    def run_ends(self, outcome: Outcome) -> None:
        run = self.server.get(f"runs/{self.task.followed}/")
        if run["status"] not in FINISHED:
            self.server.finish(run["id"], outcome)

    @precondition(lambda self: self.task.state == "deferred")
    @rule()
    def trigger_fires(self) -> None:
        if self.server.get(f"runs/{self.task.followed}/")["status"] in FINISHED:
            self.task.resume()

    @precondition(lambda self: self.task.state == "deferred")
    @rule()
    def try_is_lost(self) -> None:
        """Lose a try: Airflow counts it as failed, and the run is not cancelled."""
        self.task.fail()

    @precondition(lambda self: not self.is_cleared)
    @rule(retries=st.integers(0, 3))
    def retries_are_edited(self, retries: int) -> None:
        """Edit retries, but not between a clear and its try: a second edit can hide the first."""
        before, self.task.retries = self.task.retries, retries
        if self.task.looks_cleared:
            self.task.retries = before

    @rule()
    def another_task_is_cleared(self) -> None:
        self.task.clear_number += 1
        if self.task.looks_cleared:
            self.task.clear_number -= 1

    @precondition(lambda self: self.task.try_number > 0)
    @rule(is_noticed=st.booleans(), keeps_task_state=st.booleans())
    def clear(self, is_noticed: bool, keeps_task_state: bool) -> None:
        """Clear the task; a trigger that has just started misses it, and the run stays active."""
        if self.task.state == "deferred" and is_noticed:
            self.cancel()
        self.cleared_run = self.task.followed
        newest = self.runs()[-1:]
        has_record = not self.task.is_3_4 or keeps_task_state
        # Without its record a task follows any active resumed run.
        if (
            newest
            and newest[0]["retrying_run_id"]
            and not newest[0]["is_complete"]
            and not has_record
        ):
            self.cleared_run = 0
        self.task.clear(keeps_task_state)
        self.is_cleared = True

    @precondition(lambda self: self.task.state == "deferred")
    @rule(state=st.sampled_from(["success", "failed"]))
    def mark(self, state: str) -> None:
        self.cancel()
        self.task.state, self.task.is_marked = state, True

    def cancel(self) -> None:
        self.server.request("POST", f"runs/{self.task.followed}/cancel/")

    @rule()
    def person_resumes_the_newest_run(self) -> None:
        """Resume the newest run, unless it belongs to a deleted Dag run."""
        newest = self.newest
        if newest and newest["id"] > self.began_after and newest["status"] == Status.ERROR:
            self.server.request("POST", f"runs/{newest['id']}/retry/")

    @rule(outcome=st.sampled_from(ENDINGS))
    def persons_run_ends(self, outcome: Outcome) -> None:
        newest = self.newest
        if newest and newest["status"] not in FINISHED and newest["id"] != self.task.followed:
            self.server.finish(newest["id"], outcome)

    @rule()
    def person_starts_a_run(self) -> None:
        self.server.finish(self.server.trigger(DAILY_BUILD, cause="by hand"), SUCCEEDED)

    @precondition(lambda self: self.task.try_number > 0)
    @rule()
    def dag_run_is_deleted_and_made_again(self) -> None:
        old = self.task
        newest = self.newest
        self.began_after = newest["id"] if newest else 0
        for run in self.server.get("runs/", status__in="[1,2,3]"):
            self.server.request("POST", f"runs/{run['id']}/cancel/")
        self.task = self.new_task(old.is_3_4, old.clears_on_success)
        self.task.run_id, self.is_cleared = old.run_id, False

    @invariant()
    def at_most_one_run_is_active(self) -> None:
        if self.task.state == "deferred":
            assert len([one for one in self.runs() if one["status"] not in FINISHED]) <= 1

    @invariant()
    def a_green_task_has_a_green_run(self) -> None:
        if self.task.state == "success" and not self.task.is_marked:
            assert self.task.followed > self.began_after
            assert self.server.get(f"runs/{self.task.followed}/")["status"] == Status.SUCCESS


@pytest.fixture
def server(
    local_dbt_cloud_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DbtCloudInProcess]:
    data = tmp_path / "data"
    share_authority(local_dbt_cloud_data, data)
    monkeypatch.setattr("include.dbt_cloud.run.exactly_once.LOOK_SECONDS", 0.005)
    monkeypatch.setattr("include.dbt_cloud.api.client.wait", lambda _state: 0.0)
    with DbtCloudInProcess(data, port=free_port()) as server:
        monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", server.connection)
        yield server


@pytest.mark.filterwarnings("default")  # those of the server, in its threads
@pytest.mark.timeout(1800)
def test_no_sequence_of_events_breaks_exactly_once(server: DbtCloudInProcess) -> None:
    Search.server = server
    about = settings(max_examples=EXAMPLES, stateful_step_count=25)
    run_state_machine_as_test(Search, settings=about)
