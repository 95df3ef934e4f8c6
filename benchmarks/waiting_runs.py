"""Waiting for many dbt Cloud runs: our trigger against the provider's, in one triggerer process.

Server and triggerer have one core each, if the system supports it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from benchmarks.figures import Figure
from benchmarks.local_dbt_cloud import on_own_core
from benchmarks.waiting_triggers import POLL_INTERVAL
from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import RunRow
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD, JOBS_FILE

WAITING = (100, 1000)
FIRST_JOB = 1_000_000
ENDING = 5.0  # seconds over which the runs end, one after the other
EXIT_SECONDS = 60.0  # of the triggerer, after its last event


@dataclass(frozen=True)
class Round:
    """CPU in milliseconds per run and poll, memory in MB, the 95th percentile of seconds."""

    cpu: float
    memory: float
    delay: float


def measure(rounds: int) -> Iterator[Figure]:
    """Yield each figure once it is measured; the two triggers take turns."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        bundle = str(ensure_certificates(data).bundle)
        os.environ |= {"REQUESTS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}
        with busy_server(data) as server:
            for count in WAITING:
                kinds = ("ours", "provider")
                taken = [[one_round(server, kind, count) for kind in kinds] for _ in range(rounds)]
                for number, kind in enumerate(kinds):
                    of_kind = [each[number] for each in taken]
                    yield from figures(f"{kind}, {count} runs", of_kind)


def figures(what: str, rounds: list[Round]) -> Iterator[Figure]:
    yield Figure(f"{what}: CPU per run and poll", [each.cpu for each in rounds], "ms")
    yield Figure(f"{what}: memory", [each.memory for each in rounds], "MB")
    yield Figure(f"{what}: p95 from a run's end to the event", [each.delay for each in rounds], "s")


def one_round(server: LocalDbtCloud, kind: str, count: int) -> Round:
    first = store_queued_runs(server.data, count)
    with running_triggerer(server, kind, first, count) as triggerer:
        assert triggerer.stdout
        lines = (json.loads(line) for line in triggerer.stdout if line.startswith("{"))
        measured = next(lines)
        ended = end_runs(server.data, range(first, first + count))
        delays = [event["at"] - ended[event["run_id"]] for event in lines]
        assert triggerer.wait(EXIT_SECONDS) == 0
    assert len(delays) == count
    polls_per_second = count / POLL_INTERVAL
    cpu = measured["cpu_share"] / polls_per_second * 1000
    return Round(cpu, measured["memory"] / 1e6, quantiles(delays, n=20)[-1])


@contextmanager
def running_triggerer(
    server: LocalDbtCloud, kind: str, first: int, count: int
) -> Iterator[subprocess.Popen[str]]:
    """Yield the triggerer, which ends after its last event, or with the block."""
    environment = {
        "AIRFLOW_HOME": str(server.data / "airflow"),
        "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": server.connection,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",  # the lines of each poll would be measured too
    }
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.waiting_triggers", kind, str(first), str(count)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as triggerer:
        try:
            yield triggerer
        finally:
            triggerer.kill()


@contextmanager
def busy_server(data: Path) -> Iterator[LocalDbtCloud]:
    """Yield a server on its own core, whose only slot has an endless run: others stay queued."""
    sleeper = data / "sleeps-instead-of-dbt"
    # The worker's first line when it is ready, then nothing for a day.
    sleeper.write_text('#!/bin/sh\necho \'{"dbt_version": "1.11"}\'\nexec sleep 86400\n')
    sleeper.chmod(0o700)
    server = LocalDbtCloud(data, options=("--dbt-python", str(sleeper)))
    with on_own_core(server):
        server.wait(server.trigger(DAILY_BUILD), until={int(Status.RUNNING)})
        yield server


def store_queued_runs(data: Path, count: int) -> int:
    """Store runs that stay queued until ``end_runs``; return the first of their consecutive ids."""
    jobs_file = read_jobs_file(JOBS_FILE)
    job = jobs_file.jobs[0]
    store = Store(data / "dbt_cloud.db")
    with store.write() as session:
        rows = [
            RunRow(
                account_id=jobs_file.account.id,
                project_id=job.project_id,
                environment_id=job.environment_id,
                job_id=FIRST_JOB + number,  # in one job each run would list the others
                trigger={"cause": "benchmark"},
                job_definition=job.model_dump(mode="json"),
            )
            for number in range(count)
        ]
        session.add_all(rows)
        session.flush()
        first = rows[0].id
    store.close()
    return first


def end_runs(data: Path, run_ids: range) -> dict[int, float]:
    """Let the runs succeed one after the other; return the time of each end."""
    ended = {}
    with closing(sqlite3.connect(data / "dbt_cloud.db", isolation_level=None)) as database:
        for run_id in run_ids:
            time.sleep(ENDING / len(run_ids))
            statement = "update runs set status = ?, finished_at = created_at where id = ?"
            database.execute(statement, (int(Status.SUCCESS), run_id))
            ended[run_id] = time.time()
    return ended
