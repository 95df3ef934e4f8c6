"""The page "dbt Cloud" in Chromium: time to the first paint, with the stored runs of a large job.

Each round starts the page in a new process for each view, opens a page without stored runs, which
imports what all pages need, and then the view twice: the first time reads the files.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from airflow import settings
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.sdk import ObjectStoragePath

from benchmarks.figures import Figure
from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page import make_page
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.timeline import stored_timeline
from include.local_dbt_cloud.testing import free_port
from tests.pictures.browser import Page, browser

ACCOUNT = Account("localhost:1", 16173)  # dbt Cloud does not respond: only stored runs are shown
JOB, RUNS, NODES = 65767, 200, 1000
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
VIEWS = {
    "list of jobs": "",
    "job": f"jobs/{JOB}",
    "run": f"jobs/{JOB}/runs/{RUNS}",
    "lineage": f"jobs/{JOB}/runs/{RUNS}/lineage",
    "model": f"jobs/{JOB}/model?id=model.shop.m500",
    "usage": "usage",
}
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the time from opening a view to its first paint."""
    times: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        store_runs(Path(folder))
        for _ in range(rounds):
            for name, path in VIEWS.items():
                with running_page(folder) as address, browser() as page:
                    once = first_paint(page, f"{address}jobs/9", "has no run")
                    times["message of an unknown job, the process's first answer"].append(once)
                    for opening in ("first", "second"):
                        times[f"{name}, {opening}"].append(
                            first_paint(page, address + path, "Shop")
                        )
    for name, milliseconds in times.items():
        yield Figure(name, milliseconds, "ms")


def first_paint(page: Page, url: str, text: str) -> float:
    page.open("about:blank")
    page.open(url, text)
    page.settle()
    return float(page.evaluate(PAINT))


def history_in(folder: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{folder}/history")


def store_runs(folder: Path) -> None:
    """Store the runs of a job, whose nodes have three parents each."""
    history = History(ACCOUNT.folder_below(history_in(folder)))
    ids = [f"model.shop.m{number}" for number in range(NODES)]
    manifest = {
        "nodes": {
            one: {
                "depends_on": {"nodes": ids[max(0, number - 3) : number]},
                "fqn": ["shop", f"folder_{number % 20}", f"m{number}"],
            }
            for number, one in enumerate(ids)
        }
    }
    for run_id in range(1, RUNS + 1):
        begin = BEGIN + timedelta(hours=run_id)
        run = {
            "id": run_id,
            "job_definition_id": JOB,
            "project_id": 36467,
            "status": 10,
            "job": {"name": "Shop"},
            "created_at": begin.isoformat(),
            "started_at": begin.isoformat(),
            "finished_at": (begin + timedelta(minutes=5)).isoformat(),
        }
        results = Results(run, [node(one, begin, number) for number, one in enumerate(ids)])
        history.keep(results, stored_timeline(results, manifest))


def node(unique_id: str, begin: datetime, number: int) -> Node:
    seconds = 0.5 + number % 7 / 10
    started = begin + timedelta(seconds=number / 4)
    ended, thread = started + timedelta(seconds=seconds), f"Thread-{number % 4}"
    times: dict[str, Any] = {"started_at": started, "ended_at": ended, "thread": thread}
    return Node(unique_id, "success", seconds, "", 4, rows=120, **times)


@contextmanager
def running_page(folder: str) -> Iterator[str]:
    """Yield the page's address."""
    port = free_port()
    fields = {"conn_type": "dbt_cloud", "host": ACCOUNT.host, "login": f"{ACCOUNT.id}"}
    environment = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": json.dumps({**fields, "password": "token"}),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pages", folder, f"{port}"],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/static/page.css")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str) -> None:
    while True:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)


def serve(folder: Path, port: int) -> None:
    """Serve the page to a user who is logged in."""
    import_all_models()  # type: ignore[no-untyped-call]  # Airflow's has no types
    Base.metadata.create_all(settings.engine)
    create_auth_manager()
    app = make_page(history_in(folder), "dbt_cloud_default", "keep_dbt_cloud_history")
    gc.collect()  # the imports' objects, as in a server that has run for some time
    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="ada", role="admin")
    uvicorn.run(app, port=port, log_level="error")


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
