"""What can go wrong while a dbt Cloud job runs exactly once, and what must be true then."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow import __version__
from packaging.version import Version

from include.dbt_cloud.events import job_runs
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.variants import SHOWN, build_one_model, change_file, changed
from tests.e2e.watching import (
    QUICK,
    activate_webhooks,
    begin_to_watch,
    event_counts,
    no_webhooks,
    run_outside,
)
from tests.waiting import eventually

DAG = "run_dbt_cloud_job_exactly_once"
TASK = "trigger_dbt_cloud_job_run"
REACTING = "react_to_dbt_cloud_run"
WATCHING = "wait_for_jobs_of_two_projects"
# Airflow notices the death of a component sooner than in production, to keep the tests short.
IMPATIENT = {
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",  # 30 s hide an edit's undoing
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "4",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "6",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
}

# By default a clear discards it from Airflow 3.4 on, and cannot in 3.3.
KEEPS_TASK_STATE = {"keep_task_state": True} if Version(__version__) >= Version("3.4.0b1") else {}
ACTIVE = {"status__in": "[1,2,3]"}
LOOK = {"method": "GET", "path": "*/runs*"}
ASK = {"method": "POST", "path": "*/jobs/*/run*"}


def copy_for_crashes(root: Path) -> Project:
    """Four Dags; their dbt runs build one model, and they do not wait long for an answer."""
    project = Project.copy_to(root, retries=2)
    for file in (project.root / "dags").glob("*.py"):
        if file.stem not in (DAG, SHOWN, REACTING, WATCHING):
            file.unlink()  # the fewer Dags, the sooner Airflow is ready
    build_one_model(project)
    for dag, added in ((DAG, ""), (SHOWN, 'select=["stg_stores"], ')):
        job = "        job_id=JOB_ID,\n"
        change = {job: f"{job}        {added}lost_answer_seconds=4,\n"}
        change_file(project.root / "dags" / f"{dag}.py", change)
    return project


@dataclass(frozen=True)
class Dag:
    """``job`` is the task that starts the job's run, ``waiting`` the one that waits for its end.

    ``told`` is the task, and its XCom, that name the run which the Dag run has come to.
    """

    id: str
    job: str
    waiting: str
    told: tuple[str, str]


ONE_TASK = Dag(DAG, TASK, TASK, (TASK, "job_run_id"))
TASK_GROUP = Dag(
    SHOWN,
    "jaffle_shop.run_job",
    "jaffle_shop.rest_of_run",
    ("jaffle_shop.staging.stg_stores", "dbt_cloud_run_id"),
)


@contextmanager
def scene_in(project: Project, dag: Dag = ONE_TASK) -> Iterator[Scene]:
    """Run a case in a project whose Airflow runs; undo afterwards what it holds and breaks."""
    newest = max((run["id"] for run in project.dbt_runs()), default=0)
    scene = Scene(project, Airflow(project.port), newest, dag)
    try:
        with scene.stack:
            yield scene
    finally:
        scene.faults("DELETE")


@dataclass
class Scene:
    """One case: an Airflow, a local dbt Cloud, and what is done to them."""

    project: Project
    airflow: Airflow
    newest_before: int
    dag: Dag
    dag_runs: list[str] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    def trigger(self) -> None:
        self.dag_runs.append(self.airflow.trigger(self.dag.id))

    def wait(self) -> None:
        for dag_run in self.dag_runs:
            self.airflow.wait(self.dag.id, dag_run)

    def reach(self, *states: str) -> None:
        self.airflow.wait_for_task(self.dag.id, self.dag_runs[0], self.dag.waiting, *states)

    def clear(self, **options: bool) -> None:
        self.airflow.clear(self.dag.id, self.dag_runs[0], self.dag.job, **options)

    def hold_warehouse(self) -> None:
        """From now on a dbt run stays active, since dbt waits for the warehouse."""
        self.stack.enter_context(self.project.warehouse())

    def release_warehouse(self) -> None:
        self.stack.close()

    @property
    def dbt_runs(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return self.project.dbt_runs(id__gt=self.newest_before)[::-1]

    def wait_for_trigger(self) -> None:
        """Until the triggerer waits for the run, a second or two after the task has deferred."""
        self.reach("deferred")
        eventually(
            lambda: "is running" in self.log_of_waiting(),
            "the trigger has seen the dbt run",
        )

    @contextmanager
    def lowered_retries(self) -> Iterator[None]:
        """As a deploy does it, for the rest of the case: from 2 to 1."""
        file = self.project.root / "dags" / f"{self.dag.id}.py"
        before = file.read_text()
        file.write_text(changed(before, {'"retries": 2': '"retries": 1'}))
        eventually(lambda: self.retries() == 1, "Airflow has parsed the Dag again")
        yield
        file.write_text(before)
        eventually(lambda: self.retries() == 2, "Airflow has parsed the Dag again")

    def retries(self) -> int:
        path = f"/dags/{self.dag.id}/tasks/{self.dag.job}"
        return int(self.airflow.call("GET", path)["retries"])

    def log_of_waiting(self) -> str:
        return self.airflow.log(self.dag.id, self.dag_runs[0], self.dag.waiting)

    def go_wrong(self, kind: str, **fault: Any) -> None:
        self.faults("POST", json={"kind": kind, **fault})

    def faults(self, method: str, **options: Any) -> list[dict[str, Any]]:
        url = f"https://localhost:{self.project.dbt_cloud_port}/faults"
        answer = self.project.dbt_cloud.request(method, url, **options).raise_for_status()
        left: list[dict[str, Any]] = answer.json()["data"]
        return left

    def wait_until_it_went_wrong(self) -> None:
        eventually(lambda: not self.faults("GET"), "all faults have happened")

    def kill_worker(self, also_its_supervisor: bool = False) -> None:
        """With ``also_its_supervisor`` nobody is left to tell Airflow."""
        for name in self.names_of("scheduler"):
            for supervisor in self.project.process(name).children():
                for worker in supervisor.children():
                    if also_its_supervisor:
                        supervisor.send_signal(signal.SIGKILL)
                    worker.send_signal(signal.SIGKILL)

    def names_of(self, kind: str) -> list[str]:
        """Of the processes of a kind: there may be several."""
        return [name for name in self.project.states() if name.startswith(kind)]


def worker_dies_before_it_asks(scene: Scene) -> None:
    scene.go_wrong("slow", seconds=60, **LOOK)
    scene.trigger()
    scene.wait_until_it_went_wrong()
    scene.kill_worker()


def worker_dies_while_it_asks(scene: Scene) -> None:
    scene.go_wrong("slow", seconds=4, **ASK)
    scene.trigger()
    scene.wait_until_it_went_wrong()
    scene.kill_worker()


def worker_dies_after_it_asked(scene: Scene, also_its_supervisor: bool = False) -> None:
    scene.go_wrong("slow", seconds=0, **LOOK)  # its first look, before it asks
    scene.go_wrong("close-after", **ASK)
    scene.go_wrong("slow", seconds=60, **LOOK)  # its second one holds it
    scene.trigger()
    scene.wait_until_it_went_wrong()
    scene.kill_worker(also_its_supervisor)


def worker_and_its_supervisor_die(scene: Scene) -> None:
    worker_dies_after_it_asked(scene, also_its_supervisor=True)


def worker_dies_when_the_run_has_ended(scene: Scene) -> None:
    scene.hold_warehouse()
    scene.trigger()
    scene.reach("deferred")
    scene.go_wrong("slow", seconds=60, method="GET", path="*/runs/*")
    scene.release_warehouse()
    scene.wait_until_it_went_wrong()
    scene.kill_worker()


def component_dies(name: str) -> Callable[[Scene], None]:
    """With all that it has started; it is started again by itself."""

    def while_the_run_is_active(scene: Scene) -> None:
        scene.hold_warehouse()
        scene.trigger()
        scene.reach("deferred")
        scene.project.kill(name, family=True)
        scene.release_warehouse()
        eventually(scene.airflow.answers, "Airflow's API is there again")

    while_the_run_is_active.__name__ = f"{name}_dies"
    return while_the_run_is_active


def celery_worker_dies_while_it_asks(scene: Scene) -> None:
    """With all it has started, and it is started again by itself."""
    scene.go_wrong("slow", seconds=4, **ASK)
    scene.trigger()
    scene.wait_until_it_went_wrong()
    (at_work,) = [name for name in scene.names_of("worker") if runs_a_task(scene, name)]
    scene.project.kill(at_work, family=True)


def runs_a_task(scene: Scene, worker: str) -> bool:
    """Celery's own processes have titles of their own; a task's names its instance."""
    children = scene.project.process(worker).children(recursive=True)
    return any("airflow worker -- " in " ".join(child.cmdline()) for child in children)


def one_of_each_dies(scene: Scene) -> None:
    """One of two schedulers and one of two triggerers, while three runs wait."""
    scene.hold_warehouse()
    for _ in range(3):
        scene.trigger()
    for dag_run in scene.dag_runs:
        scene.airflow.wait_for_task(scene.dag.id, dag_run, scene.dag.waiting, "deferred")
    for kind in ("scheduler", "triggerer"):
        first, _second = scene.names_of(kind)
        scene.project.kill(first, family=True)
    scene.release_warehouse()


def too_many_requests(scene: Scene) -> None:
    scene.go_wrong("429", times=4, seconds=1)
    scene.trigger()
    scene.reach("deferred", "success")
    scene.go_wrong("429", times=2, seconds=1)


def polls_fail(scene: Scene) -> None:
    scene.hold_warehouse()
    scene.trigger()
    scene.reach("deferred")
    for kind in ("500", "503", "close-before", "close-after", "truncate"):
        scene.go_wrong(kind, **LOOK)
    scene.wait_until_it_went_wrong()
    scene.release_warehouse()


def answer_is_lost(scene: Scene) -> None:
    scene.go_wrong("close-after", **ASK)
    scene.trigger()


def dbt_cloud_dies(scene: Scene) -> None:
    scene.hold_warehouse()
    scene.trigger()
    scene.reach("deferred")
    scene.project.kill("local-dbt-cloud")  # and it is started again by itself
    scene.release_warehouse()


def two_dag_runs_at_once(scene: Scene) -> None:
    scene.trigger()
    scene.trigger()


def clear_while_running(scene: Scene) -> None:
    scene.hold_warehouse()
    scene.trigger()
    scene.wait_for_trigger()
    scene.clear()
    eventually(lambda: len(scene.dbt_runs) == 2, "a second dbt run begins")
    scene.release_warehouse()


def clear_before_the_trigger_has_started(scene: Scene) -> None:
    scene.hold_warehouse()
    scene.trigger()
    scene.reach("deferred")
    scene.clear()
    eventually(lambda: len(scene.dbt_runs) == 2, "a second dbt run begins")
    scene.release_warehouse()


def mark_failed_while_dbt_cloud_fails(scene: Scene) -> None:
    """For longer than a second, after which Airflow interrupts the trigger's cancelling."""
    scene.go_wrong("503", times=2, method="POST", path="*/cancel*")
    mark_failed_while_running(scene)


def mark_failed_while_running(scene: Scene) -> None:
    scene.hold_warehouse()
    scene.trigger()
    scene.wait_for_trigger()
    dag, dag_run = scene.dag, scene.dag_runs[0]
    path = f"/dags/{dag.id}/dagRuns/{dag_run}/taskInstances/{dag.waiting}"
    scene.airflow.call("PATCH", path, new_state="failed")
    eventually(lambda: not scene.project.dbt_runs(**ACTIVE), "the dbt run is cancelled")
    scene.release_warehouse()


def clear_after_failure(scene: Scene) -> None:
    rename = "alter table raw.stores{} rename to stores{}"
    with scene.project.warehouse() as warehouse:
        warehouse.execute(rename.format("", "_away"))
    scene.trigger()
    scene.wait()
    with scene.project.warehouse() as warehouse:
        warehouse.execute(rename.format("_away", ""))
    scene.clear()


def clear_after_success(scene: Scene) -> None:
    scene.trigger()
    scene.wait()
    scene.clear()


def retries_are_lowered_between_two_tries(scene: Scene) -> None:
    scene.stack.enter_context(scene.lowered_retries())
    worker_dies_after_it_asked(scene)


def retries_are_lowered_before_a_clear(scene: Scene) -> None:
    """By the one try that was made: the clear sets the same ``max_tries`` again."""
    scene.trigger()
    scene.wait()
    scene.stack.enter_context(scene.lowered_retries())
    scene.clear()


def a_person_resumes_the_failed_run(scene: Scene) -> None:
    """With the button in dbt Cloud, before clearing the task."""
    with scene.project.warehouse() as warehouse:
        warehouse.execute("alter table raw.stores rename to stores_away")
    scene.trigger()
    scene.wait()
    with scene.project.warehouse() as warehouse:
        warehouse.execute("alter table raw.stores_away rename to stores")
    path = f"/runs/{scene.dbt_runs[-1]['id']}/retry/"
    scene.project.dbt_cloud.post(path).raise_for_status()
    eventually(lambda: not scene.project.dbt_runs(**ACTIVE), "the resumed dbt run has ended")
    scene.clear(**KEEPS_TASK_STATE)


def dag_run_is_deleted_and_made_again(scene: Scene) -> None:
    scene.trigger()
    scene.wait()
    dag_run = scene.dag_runs[0]
    scene.airflow.call("DELETE", f"/dags/{scene.dag.id}/dagRuns/{dag_run}")
    body = {"logical_date": None, "dag_run_id": dag_run}
    scene.airflow.api.post(f"/dags/{scene.dag.id}/dagRuns", json=body).raise_for_status()


def require(scene: Scene, dbt_runs: list[str], state: str) -> None:
    """Check that the job's task has exactly its dbt Cloud runs, and that all have ended."""
    assert [run["status_humanized"] for run in scene.dbt_runs] == dbt_runs
    assert scene.project.dbt_runs(**ACTIVE) == []
    airflow, dag = scene.airflow, scene.dag
    for dag_run in scene.dag_runs:
        assert set(airflow.states(dag.id, dag_run).values()) == {state}
    own = {airflow.xcom(dag.id, dag_run, *dag.told) for dag_run in scene.dag_runs}
    assert len(own) == len(scene.dag_runs)
    assert max(own) == scene.dbt_runs[-1]["id"]


def require_one_watcher_event_per_run(
    project: Project, crash: Callable[[], None], webhooks: bool = False
) -> None:
    """Let runs of two jobs end before the crash, after it and while Airflow restarts."""
    airflow, jobs = Airflow(project.port), (65767, 48640)
    assets = [job_runs(job) for job in jobs]
    with ExitStack() as stack:
        if webhooks:
            activate_webhooks(project)
        else:
            stack.enter_context(no_webhooks(project))
        begin_to_watch(airflow, WATCHING, *assets)
        ended: list[list[int]] = [[], []]

        def some_end() -> None:
            for runs, job in zip(ended, jobs, strict=True):
                runs += [run_outside(project, job, QUICK)["id"] for _ in range(2)]

        some_end()
        crash()
        some_end()
        eventually(project.is_well, "all processes run again")
        some_end()

        def all_told() -> bool:
            told = [event_counts(airflow, asset) for asset in assets]
            return all({*runs} <= each.keys() for runs, each in zip(ended, told, strict=True))

        eventually(all_told, "each run is told of")
    for asset, runs in zip(assets, ended, strict=True):
        told = event_counts(airflow, asset)
        assert {run: told[run] for run in runs} == dict.fromkeys(runs, 1)
    airflow.call("PATCH", f"/dags/{WATCHING}", is_paused=True)
