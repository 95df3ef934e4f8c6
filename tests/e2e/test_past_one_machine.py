"""The crash table's second Airflow, as large installations have it.

Two schedulers, two triggerers, two workers of Celery's, and a PostgreSQL that is there already.
Where no Redis can be had, the LocalExecutor takes the place of Celery.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest

from include.local_airflow.settings.metadata_database import DRIVER, MetadataDatabase
from include.local_airflow.start import postgres
from include.local_dbt_cloud.testing import free_port
from tests.e2e import crashes
from tests.e2e.crashes import Scene
from tests.e2e.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="celery")]

REDIS = shutil.which("redis-server")
PASSWORD = "Correct_horse_battery_staple"
TWO = {"SCHEDULERS": "2", "TRIGGERERS": "2"}

needs_redis = pytest.mark.skipif(
    REDIS is None, reason="there is no redis-server: apt-get install redis-server"
)


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the settings for Celery with a Redis on the loopback address; nothing without Redis."""
    if REDIS is None:
        yield {}
        return
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    command = [REDIS, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    server = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(answers, "Redis answers")
    broker = f"redis://127.0.0.1:{port}/0"
    yield {"EXECUTOR": "CeleryExecutor", "WORKERS": "2", "BROKER_URL": broker}
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a PostgreSQL with a password, on the loopback address."""
    home, port = tmp_path_factory.mktemp("postgres"), free_port()
    postgres.make_data(home)
    settings = ["-c", "listen_addresses=127.0.0.1", "-p", str(port)]
    server = subprocess.Popen([*postgres.program(home).command, *settings])
    local = MetadataDatabase(f"{postgres.database(home).url}&port={port}")
    postgres.wait_until_ready(local, lambda: None)
    with psycopg.connect(local.url.replace(DRIVER, "postgresql")) as connection:
        connection.execute(f"alter user airflow password '{PASSWORD}'")
    rules = home / "postgres" / "data" / "pg_hba.conf"
    rules.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    server.send_signal(signal.SIGHUP)  # it reads the file again
    yield f"postgresql://airflow:{PASSWORD}@127.0.0.1:{port}/postgres"
    server.send_signal(signal.SIGINT)
    server.wait(10)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, celery: dict[str, str], database_url: str
) -> Iterator[Project]:
    project = crashes.copy_for_crashes(tmp_path_factory.mktemp("large"))
    settings = {**crashes.IMPATIENT, **TWO, **celery, "DATABASE_URL": database_url}
    with project.started(**settings) as printed:
        assert "on 127.0.0.1" in printed.partition("(DATABASE_URL)")[0]
        assert PASSWORD not in printed
        yield project


def test_start_runs_the_configured_number_of_each_component(
    project: Project, celery: dict[str, str]
) -> None:
    names = set(project.states())
    assert {"scheduler", "scheduler-2", "triggerer", "triggerer-2"} < names
    assert {name for name in names if name.startswith("worker")} == (
        {"worker-1", "worker-2"} if celery else set()
    )
    assert "postgres" not in names


@pytest.mark.parametrize(
    ("happens", "dbt_runs"),
    [
        pytest.param(crashes.celery_worker_dies_while_it_asks, 1, marks=needs_redis),
        (crashes.one_of_each_dies, 3),
    ],
)
def test_task_has_exactly_the_expected_dbt_runs(
    project: Project, happens: Callable[[Scene], None], dbt_runs: int
) -> None:
    with crashes.scene_in(project) as scene:
        happens(scene)
        scene.wait()
        crashes.require(scene, ["Success"] * dbt_runs, "success")
    assert all(state.is_running for state in project.states().values())


def test_watchers_move_to_the_other_triggerer_and_report_each_run_once(project: Project) -> None:
    """One of them dies, and the other one once the first is there again: both have watched then."""

    def both_die() -> None:
        for name in ("triggerer", "triggerer-2"):
            project.kill(name, family=True)
            eventually(project.is_well, f"{name} runs again")

    crashes.require_one_watcher_event_per_run(project, both_die)
