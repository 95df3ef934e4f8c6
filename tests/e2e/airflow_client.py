"""Airflow as a user sees it: trigger a Dag, clear a task, read a log, over the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from tests.waiting import PATIENCE, eventually

ENDED = ("success", "failed")


@dataclass(frozen=True)
class Airflow:
    """A running Airflow on a loopback port, where everyone is admin."""

    port: int

    @cached_property
    def api(self) -> httpx.Client:
        address = f"http://127.0.0.1:{self.port}"
        answer = httpx.get(f"{address}/auth/token", trust_env=False, timeout=30)
        return httpx.Client(
            base_url=f"{address}/api/v2",
            headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
            trust_env=False,
            timeout=30,
            limits=httpx.Limits(max_keepalive_connections=0),  # nobody closes this client
        )

    def answers(self) -> bool:
        """Tell whether the API and the database behind it are there."""
        try:
            return self.api.get("/dags?limit=1").is_success
        except httpx.TransportError:
            return False

    def call(self, method: str, path: str, **json: Any) -> dict[str, Any]:
        response = self.api.request(method, path, json=json or None)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """As the UI does: unpause the Dag and start it by hand. Returns the Dag run's id."""
        self.call("PATCH", f"/dags/{dag_id}", is_paused=False)
        run = self.api.post(f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        assert run.is_success, run.text
        return str(run.json()["dag_run_id"])

    def run(self, dag_id: str, **conf: Any) -> tuple[str, dict[str, str]]:
        """Trigger and wait; returns the Dag run's id and the state of each task."""
        run_id = self.trigger(dag_id, **conf)
        self.wait(dag_id, run_id)
        return run_id, self.states(dag_id, run_id)

    def dag_runs(self, dag_id: str, **filters: str) -> list[str]:
        """Return the Dag runs, the oldest first."""
        answer = self.api.get(f"/dags/{dag_id}/dagRuns", params={"order_by": "id", **filters})
        assert answer.is_success, answer.text
        return [run["dag_run_id"] for run in answer.json()["dag_runs"]]

    def first_runs(self, *dag_ids: str) -> dict[str, str]:
        """Of each Dag the first run by hand that succeeded; those without one start together."""
        filters = {"run_type": "manual", "state": "success"}
        found = {dag_id: self.dag_runs(dag_id, **filters) for dag_id in dag_ids}
        runs = {dag_id: (ids or [self.trigger(dag_id)])[0] for dag_id, ids in found.items()}
        for run in runs.items():
            assert self.wait(*run) == "success", run
        return runs

    def first_run(self, dag_id: str) -> str:
        return self.first_runs(dag_id)[dag_id]

    def wait(self, dag_id: str, run_id: str, patience: float = PATIENCE) -> str:
        def state() -> str | None:
            found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
            return found if found in ENDED else None

        return eventually(state, f"{dag_id} {run_id} ends", patience, pause=1)

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")
        return {task["task_id"]: task for task in found["task_instances"]}

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        return {name: task["state"] for name, task in self.tasks(dag_id, run_id).items()}

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, *states: str) -> str:
        def state() -> str | None:
            found = self.states(dag_id, run_id).get(task_id)
            return found if found in states else None

        return eventually(state, f"{dag_id}.{task_id} is {' or '.join(states)}")

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return the question of a human-in-the-loop task, and its response."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        return self.call("GET", path)

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Press a button under Required Action."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self.call("PATCH", path, chosen_options=[option])

    def clear(self, dag_id: str, run_id: str, task_id: str, **options: bool) -> None:
        """Clear the task and its downstream tasks, as the Clear button does."""
        self.call(
            "POST",
            f"/dags/{dag_id}/clearTaskInstances",
            dry_run=False,
            dag_run_id=run_id,
            task_ids=[task_id],
            include_downstream=True,
            only_failed=False,
            reset_dag_runs=True,
            **options,
        )

    def backfill(
        self, dag_id: str, first: str, last: str, patience: float = 600, **options: Any
    ) -> None:
        """Backfill the days from ``first`` to ``last``, as the UI does, and wait for the end."""
        self.call("PATCH", f"/dags/{dag_id}", is_paused=False)
        dates = {"from_date": f"{first}T00:00:00Z", "to_date": f"{last}T00:00:00Z"}
        created = self.call("POST", "/backfills", dag_id=dag_id, **dates, **options)

        def has_ended() -> bool:
            return self.call("GET", f"/backfills/{created['id']}")["completed_at"] is not None

        eventually(has_ended, f"{dag_id} from {first} to {last} ends", patience, pause=1)

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the log of the task's newest try."""
        try_number = self.tasks(dag_id, run_id)[task_id]["try_number"]
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        response = self.api.get(path, headers={"Accept": "application/x-ndjson"})
        assert response.is_success, response.text
        return response.text

    def events(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return a line for each event of the task in Airflow's audit log."""
        filters = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "limit": "100"}
        found = self.api.get("/eventLogs", params=filters | {"order_by": "event_log_id"})
        assert found.is_success, found.text
        fields = ("when", "try_number", "event", "extra")
        return "\n".join(
            " ".join(str(one[field]) for field in fields) for one in found.json()["event_logs"]
        )

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", f"{path}?deserialize=true")["value"]
