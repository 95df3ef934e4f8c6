"""What can go wrong while dbt Cloud tells Airflow of finished runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from include.dbt_cloud.events import job_runs
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project, eventually
from tests.e2e.test_react_to_dbt_cloud_run import JOB, told
from tests.e2e.webhooks import Sender, events_of

RUNS = 30
NO_ANSWER = 0


@dataclass
class Telling:
    """Runs that dbt Cloud tells of, each until it is taken; ``heard`` are all answers."""

    project: Project
    first: int = field(default_factory=time.time_ns)
    heard: list[int] = field(default_factory=list)

    @property
    def runs(self) -> list[int]:
        return list(range(self.first, self.first + RUNS))

    def insist(self, run_id: int) -> None:
        sender = Sender(self.project)
        body = sender.finished(run_id, JOB)
        while self._answer(sender, body) != 200:
            time.sleep(0.5)

    def _answer(self, sender: Sender, body: bytes) -> int:
        try:
            answer = sender.send(body).status_code
        except httpx.TransportError:
            answer = NO_ANSWER
        self.heard.append(answer)
        return answer


def api_server_dies(telling: Telling) -> None:
    telling.project.kill("api-server", family=True)
    eventually(lambda: NO_ANSWER in telling.heard, "a webhook is not answered")


def database_is_gone(telling: Telling) -> None:
    [watcher] = [one for one in telling.project.watchers if one.name == "airflow"]
    watcher.stop("postgres")
    eventually(lambda: 503 in telling.heard, "dbt Cloud is asked to tell again")
    watcher.start("postgres")


def nothing_dies(_telling: Telling) -> None:
    """But each is told of by four at once."""


def require_one_event_each(project: Project, happens: Callable[[Telling], None]) -> None:
    telling = Telling(project)
    with ThreadPoolExecutor(4) as threads:
        done = threads.map(telling.insist, [run for run in telling.runs for _ in range(4)])
        happens(telling)
        list(done)

    assert set(telling.heard) <= {200, 503, NO_ANSWER}
    events = events_of(Airflow(project.port), job_runs(JOB))
    runs = sorted(told(event)["run_id"] for event in events)
    assert [run for run in runs if run >= telling.first] == telling.runs


def require_the_local_dbt_cloud_tells_again(project: Project) -> None:
    """Its run ends while there is no API server, and its further tries find the new one."""
    airflow = Airflow(project.port)
    body = {"cause": "started by curl", "steps_override": ["dbt deps"]}
    project.kill("api-server", family=True)
    answer = project.dbt_cloud.post(f"/jobs/{JOB}/run/", json=body).raise_for_status()
    eventually(airflow.answers, "Airflow's API is there again")

    def about_the_run() -> list[int]:
        runs = [told(event)["run_id"] for event in events_of(airflow, job_runs(JOB))]
        return [run for run in runs if run == answer.json()["data"]["id"]]

    assert len(eventually(about_the_run, "the run is an event")) == 1
