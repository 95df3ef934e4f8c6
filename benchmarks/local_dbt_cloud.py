"""The local dbt Cloud: startup time, polls per second, and times of a list and of a reset.

Server and client have one core each, if the system supports it.
"""

from __future__ import annotations

import http.client
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import RunRow
from include.local_dbt_cloud.testing import LocalDbtCloud
from include.local_dbt_cloud.times import now
from tests.bundled import ACCOUNT_ID, DAILY_BUILD, JOBS_FILE, TOKEN

STORED_RUNS = 10_000
POLL_SECONDS = 5.0
CONNECTIONS = 4
LIST_CALLS = 50
LISTS = (
    "order_by=-id",
    "offset=9000",
    f"job_definition_id={DAILY_BUILD}&order_by=-created_at",
    "status__in=[20]",
)
SERVER_CORE, CLIENT_CORE = 0, 1
RUNS = f"/api/v2/accounts/{ACCOUNT_ID}/runs/"
HEADERS = {"Authorization": f"Token {TOKEN}"}


def measure(rounds: int) -> Iterator[Figure]:
    """Yield each figure once it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        os.environ["REQUESTS_CA_BUNDLE"] = str(ensure_certificates(data).bundle)
        store_runs(data)
        server = LocalDbtCloud(data)
        starts = [start_seconds(server) for _ in range(rounds)]
        yield Figure("start to the first response", starts, "s")
        with on_own_core(server):
            # Afterwards dbt is imported.
            server.wait(server.trigger(DAILY_BUILD, steps_override=["dbt deps"]))
            polls = [polls_per_second(server) for _ in range(rounds)]
            yield Figure(f"status polls, {CONNECTIONS} connections", polls, "per second")
            for query in LISTS:
                times = [list_milliseconds(server, query) for _ in range(rounds)]
                yield Figure(f"100 of {STORED_RUNS} runs, {query}", times, "ms")
    with tempfile.TemporaryDirectory() as folder, LocalDbtCloud(Path(folder)) as server:
        yield Figure("reset after a run", [reset_milliseconds(server) for _ in range(rounds)], "ms")


def store_runs(data: Path) -> None:
    """Store runs as if the server had run them, a minute apart."""
    jobs_file = read_jobs_file(JOBS_FILE)
    job = jobs_file.jobs[0]
    store = Store(data / "dbt_cloud.db")
    store.apply_jobs_file(jobs_file)
    first = now() - timedelta(minutes=STORED_RUNS)
    with store.write() as session:
        for number in range(STORED_RUNS):
            moment = first + timedelta(minutes=number)
            row = RunRow(
                account_id=jobs_file.account.id,
                project_id=job.project_id,
                environment_id=job.environment_id,
                job_id=job.id,
                trigger={"cause": "benchmark"},
                job_definition=job.model_dump(mode="json"),
                status_code=int(Status.SUCCESS if number % 10 else Status.ERROR),
                created_at=moment,
                started_at=moment,
                finished_at=moment + timedelta(seconds=2),
            )
            session.add(row)
    store.close()


def start_seconds(server: LocalDbtCloud) -> float:
    began = time.perf_counter()
    with server:
        return time.perf_counter() - began


def reset_milliseconds(server: LocalDbtCloud) -> float:
    server.wait(server.trigger(DAILY_BUILD, steps_override=["dbt deps"]))
    began = time.perf_counter()
    server.reset()
    return 1000 * (time.perf_counter() - began)


@contextmanager
def on_own_core(server: LocalDbtCloud) -> Iterator[None]:
    """Run the server on its own core during the block."""
    run_on(SERVER_CORE)  # inherited by child processes
    with server:
        run_on(CLIENT_CORE)
        yield


def run_on(core: int) -> None:
    """Move this thread and its future children to one core, if the system supports it."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


def polls_per_second(server: LocalDbtCloud) -> float:
    """Return the status polls of one run per second, on open connections."""
    end = time.perf_counter() + POLL_SECONDS
    counts: list[int] = []

    def poll() -> None:
        connection = connect(server)
        count = 0
        while time.perf_counter() < end:
            get(connection, f"{RUNS}{STORED_RUNS}/")
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=poll) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / POLL_SECONDS


def list_milliseconds(server: LocalDbtCloud, query: str) -> float:
    """Return the median time of the calls of one round, including the body's transfer."""
    connection = connect(server)
    times = []
    for _ in range(LIST_CALLS):
        began = time.perf_counter()
        get(connection, f"{RUNS}?limit=100&{query}")
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


def connect(server: LocalDbtCloud) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=server.ca_file)
    host, _, port = server.host.partition(":")
    return http.client.HTTPSConnection(host, int(port), context=context)


def get(connection: http.client.HTTPSConnection, path: str) -> bytes:
    """Return a response's body; raise RuntimeError unless it is a success."""
    connection.request("GET", path, headers=HEADERS)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path} returned {response.status}: {body.decode()}")
    return body
