"""What can go wrong while dbt Cloud tells Airflow of finished runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from include.dbt_cloud.events import job_runs
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.test_react_to_dbt_cloud_run import JOB, run_in
from tests.e2e.watching import activate_webhooks
from tests.e2e.webhooks import Sender, events_of
from tests.waiting import eventually

NO_ANSWER = 0
LAST_TRY = 300.0  # seconds; dbt Cloud's fourth comes after 31, its fifth and last after 156


@dataclass
class Delivery:
    """Runs that dbt Cloud tells of, each until it is taken; ``statuses`` are all answers."""

    project: Project
    sender: Sender
    statuses: list[int] = field(default_factory=list)

    def deliver(self, run_id: int) -> None:
        body = self.sender.finished(run_id, JOB)
        while self._answer(body) != 200:
            time.sleep(0.5)

    def _answer(self, body: bytes) -> int:
        try:
            answer = self.sender.send(body).status_code
        except httpx.TransportError:
            answer = NO_ANSWER
        self.statuses.append(answer)
        return answer


def api_server_dies(delivery: Delivery) -> None:
    delivery.project.kill("api-server", family=True)
    eventually(lambda: NO_ANSWER in delivery.statuses, "a webhook is not answered")


def database_is_gone(delivery: Delivery) -> None:
    [watcher] = [one for one in delivery.project.supervisors if one.name == "airflow"]
    watcher.stop("postgres")
    eventually(lambda: 503 in delivery.statuses, "dbt Cloud is asked to tell again")
    watcher.start("postgres")


def many_come_at_once(_telling: Delivery) -> None:
    """And nothing dies."""


def require_one_event_each(
    project: Project, happens: Callable[[Delivery], None], runs: int, times: int
) -> None:
    """Send each finished run so many ``times``, four webhooks at once."""
    first = time.time_ns()
    ids = range(first, first + runs)
    with Sender(project) as sender, ThreadPoolExecutor(4) as threads:
        delivery = Delivery(project, sender)
        done = threads.map(delivery.deliver, [run_id for run_id in ids for _ in range(times)])
        happens(delivery)
        list(done)

    assert set(delivery.statuses) <= {200, 503, NO_ANSWER}
    events = events_of(Airflow(project.port), job_runs(JOB), runs)
    assert sorted(run_in(event)["run_id"] for event in events) == list(ids)


def require_the_local_dbt_cloud_retries(project: Project) -> None:
    """Its run ends while there is no API server, and its further tries find the new one."""
    airflow = Airflow(project.port)
    activate_webhooks(project)
    body = {"cause": "started by curl", "steps_override": ["dbt deps"]}
    project.kill("api-server", family=True)
    answer = project.dbt_cloud.post(f"/jobs/{JOB}/run/", json=body).raise_for_status()
    eventually(airflow.answers, "Airflow's API is there again")

    def about_the_run() -> list[int]:
        runs = [run_in(event)["run_id"] for event in events_of(airflow, job_runs(JOB))]
        return [run for run in runs if run == answer.json()["data"]["id"]]

    assert len(eventually(about_the_run, "the run is an event", LAST_TRY)) == 1
