"""Runs that are started once, and told of once, while everything dies: one row, one case."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e import crashes, webhook_crashes
from tests.e2e.crashes import Scene
from tests.e2e.project import Project
from tests.e2e.webhook_crashes import Delivery

pytestmark = [pytest.mark.slow, pytest.mark.group(name="crashes")]

ONE = ["Success"]
FAILED = ["Error"] * 3  # a first try and two retries
# What happens, and how the dbt runs and the task have ended afterwards.
TABLE: list[tuple[Callable[[Scene], None], list[str], str]] = [
    (crashes.worker_dies_before_it_asks, ONE, "success"),
    (crashes.worker_dies_while_it_asks, ONE, "success"),
    (crashes.worker_dies_after_it_asked, ONE, "success"),
    (crashes.worker_and_its_supervisor_die, ONE, "success"),
    (crashes.worker_dies_when_the_run_has_ended, ONE, "success"),
    (crashes.component_dies("triggerer"), ONE, "success"),
    (crashes.component_dies("scheduler"), ONE, "success"),
    (crashes.component_dies("api-server"), ONE, "success"),
    (crashes.component_dies("postgres"), ONE, "success"),
    (crashes.too_many_requests, ONE, "success"),
    (crashes.polls_fail, ONE, "success"),
    (crashes.answer_is_lost, ONE, "success"),
    (crashes.dbt_cloud_dies, ["Error", "Success"], "success"),
    (crashes.two_dag_runs_at_once, ["Success", "Success"], "success"),
    (crashes.clear_while_running, ["Cancelled", "Success"], "success"),
    (crashes.clear_before_the_trigger_has_started, ["Cancelled", "Success"], "success"),
    (crashes.mark_failed_while_running, ["Cancelled"], "failed"),
    (crashes.mark_failed_while_dbt_cloud_fails, ["Cancelled"], "failed"),
    (crashes.clear_after_failure, [*FAILED, "Success"], "success"),
    (crashes.clear_after_success, ["Success", "Success"], "success"),
    (crashes.retries_are_lowered_between_two_tries, ONE, "success"),
    (crashes.retries_are_lowered_before_a_clear, ["Success", "Success"], "success"),
    (crashes.a_person_resumes_the_failed_run, [*FAILED, "Success"], "success"),
    (crashes.dag_run_is_deleted_and_made_again, ["Success", "Success"], "success"),
]
# The same with a task group. A run that died is built again by the model's own next try.
TABLE_OF_TASK_GROUP: list[tuple[Callable[[Scene], None], list[str], str]] = [
    (crashes.component_dies("triggerer"), ONE, "success"),
    (crashes.component_dies("scheduler"), ONE, "success"),
    (crashes.polls_fail, ONE, "success"),
    (crashes.dbt_cloud_dies, ["Error", "Success"], "success"),
    (crashes.clear_while_running, ["Cancelled", "Success"], "success"),
    (crashes.clear_after_failure, [*FAILED, "Success"], "success"),
    (crashes.clear_after_success, ["Success", "Success"], "success"),
    (crashes.retries_are_lowered_before_a_clear, ["Success", "Success"], "success"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Yield a separate Airflow, which these tests crash."""
    project = crashes.copy_for_crashes(tmp_path_factory.mktemp("crashes"))
    with project.started(**crashes.IMPATIENT):
        yield project


@pytest.mark.parametrize(
    ("happens", "dbt_runs", "state"), TABLE, ids=[row[0].__name__ for row in TABLE]
)
def test_task_has_exactly_the_expected_dbt_runs(
    project: Project, happens: Callable[[Scene], None], dbt_runs: list[str], state: str
) -> None:
    with crashes.scene_in(project) as scene:
        happens(scene)
        scene.wait()
        crashes.require(scene, dbt_runs, state)


@pytest.mark.parametrize(
    ("happens", "dbt_runs", "state"),
    TABLE_OF_TASK_GROUP,
    ids=[row[0].__name__ for row in TABLE_OF_TASK_GROUP],
)
def test_task_group_has_exactly_the_expected_dbt_runs(
    project: Project, happens: Callable[[Scene], None], dbt_runs: list[str], state: str
) -> None:
    with crashes.scene_in(project, crashes.TASK_GROUP) as scene:
        happens(scene)
        scene.wait()
        crashes.require(scene, dbt_runs, state)


# What happens, how many runs dbt Cloud tells of meanwhile, and how often it tells of each.
TABLE_OF_WEBHOOKS: list[tuple[Callable[[Delivery], None], int, int]] = [
    (webhook_crashes.many_come_at_once, 1000, 1),
    (webhook_crashes.api_server_dies, 30, 4),
    (webhook_crashes.database_is_gone, 30, 4),
]


@pytest.mark.parametrize(
    ("happens", "runs", "times"),
    TABLE_OF_WEBHOOKS,
    ids=[row[0].__name__ for row in TABLE_OF_WEBHOOKS],
)
def test_webhooks_create_exactly_one_event_per_run(
    project: Project, happens: Callable[[Delivery], None], runs: int, times: int
) -> None:
    webhook_crashes.require_one_event_each(project, happens, runs, times)


def test_webhook_is_retried_after_the_api_server_was_down(project: Project) -> None:
    webhook_crashes.require_the_local_dbt_cloud_retries(project)


@pytest.mark.parametrize("component", ["triggerer", "postgres"])
def test_watcher_reports_each_run_once_after_a_crash(project: Project, component: str) -> None:
    crashes.require_one_watcher_event_per_run(project, lambda: project.kill(component, family=True))


def test_webhook_and_watcher_create_one_event_per_run(project: Project) -> None:
    crashes.require_one_watcher_event_per_run(
        project, lambda: project.kill("triggerer", family=True), webhooks=True
    )
