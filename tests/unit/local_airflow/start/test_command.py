from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator

import pytest

from include.local_airflow.settings.active_dbt_cloud import check_dbt_pythons
from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.command import airflow_watcher, has_connections_of
from include.local_airflow.start.programs import airflow_programs
from tests.free_ports import free_port
from tests.unit.local_airflow.conftest import REAL_ACCOUNT, Checkout

pytestmark = pytest.mark.slow


@pytest.fixture
def stopped(checkout: Checkout) -> Iterator[Checkout]:
    """A checkout in which nothing runs after the test, whatever happened."""
    yield checkout
    assert "Nothing was running." in checkout.launch("stop").stdout


def test_start_reports_a_port_in_use(stopped: Checkout, listener: Callable[[], int]) -> None:
    port = listener()
    stopped.variables["PORT"] = str(port)
    result = stopped.launch("start")
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: Port {port} is in use by another program")


def test_run_reports_a_dbt_cloud_port_in_use(
    stopped: Checkout, listener: Callable[[], int]
) -> None:
    port = listener()
    stopped.variables = {
        "DBT_CLOUD_PORT": str(port),
        "LOCAL_DBT_CLOUD_DATA": str(stopped.folder / "data"),
    }
    result = stopped.launch("run", "anything")
    assert result.returncode == 1
    assert f"make run DBT_CLOUD_PORT={port + 10}" in result.stderr


def test_start_names_a_process_that_ends_early(stopped: Checkout) -> None:
    stopped.variables |= {
        "PORT": str(free_port()),
        "AIRFLOW__TRIGGERER__CAPACITY": "none",
    }
    result = stopped.launch("start")
    assert result.returncode == 1
    assert "triggerer ended while it started" in result.stderr
    assert "Traceback (most recent call last):" not in result.stderr.partition(":\n")[0]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"EXECUTOR": "CeleryExecutor"}, "needs a message broker: give BROKER_URL=redis://"),
        (
            {"EXECUTOR": "CeleryExecutor", "BROKER_URL": "redis://127.0.0.1:1/0"},
            "No message broker answers at 127.0.0.1:1 (",
        ),
        ({"DATABASE_URL": "mysql://root:secret@localhost/a"}, "DATABASE_URL names no PostgreSQL"),
        (
            {"DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/a"},
            "The PostgreSQL of DATABASE_URL, 127.0.0.1:1/a, cannot be used (",
        ),
    ],
    ids=["no broker", "silent broker", "no PostgreSQL", "silent PostgreSQL"],
)
def test_start_reports_an_unusable_broker_or_database(
    stopped: Checkout, variables: dict[str, str], sentence: str
) -> None:
    stopped.variables |= {"PORT": str(free_port()), **variables}
    result = stopped.launch("start")
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "secret" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("start",), ("run", "anything")], ids=" ".join)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1.12", "LOCAL_DBT_CLOUD_DBT_PYTHON=1.12 will not do: give VERSION=PATH"),
        ("1.12=no/python", "/no/python: LOCAL_DBT_CLOUD_DBT_PYTHON names it for dbt 1.12."),
    ],
)
def test_commands_reject_an_invalid_dbt_python_before_anything_starts(
    stopped: Checkout, command: tuple[str, ...], text: str, sentence: str
) -> None:
    stopped.variables = {}
    (stopped.folder / ".env").write_text(f"LOCAL_DBT_CLOUD_DBT_PYTHON={text}\n")

    result = stopped.launch(*command)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert sentence in result.stderr
    stopped.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = REAL_ACCOUNT
    check_dbt_pythons(Launch.read(stopped.folder, stopped.variables))  # not used then


def test_start_and_doctor_reject_an_airflow_with_other_connections(
    stopped: Checkout,
) -> None:
    """Its tasks have the connections with which it was started."""
    stopped.variables |= {"PORT": str(free_port()), "DATABASE_URL": "postgresql://x@localhost/x"}
    launch = Launch.read(stopped.folder, stopped.variables)
    watcher = airflow_watcher(launch)
    watcher.begin(airflow_programs(launch), os.environ | stopped.variables)
    assert has_connections_of(launch, watcher)

    stopped.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = REAL_ACCOUNT.replace(":1", ":2")
    result = stopped.launch("start")
    told = stopped.launch("doctor").stdout

    assert result.returncode == 1
    assert f"127.0.0.1:{launch.port}, with other settings: make stop ends it" in result.stderr
    assert "localhost:2" not in result.stdout
    assert told.startswith("✗ The Airflow that runs was started with other connections than are")


def test_concurrent_start_is_rejected(stopped: Checkout) -> None:
    with (stopped.folder / ".airflow" / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = stopped.launch("start")
    assert result.returncode == 1
    assert "Another make start is going on in this checkout" in result.stderr


NOHUP = """\
import signal
from include.local_airflow.__main__ import main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print(main(), signal.getsignal(signal.SIGHUP).name, signal.getsignal(signal.SIGTERM).__name__)
"""


def test_status_without_processes_returns_1_and_keeps_nohup(checkout: Checkout) -> None:
    result = checkout.run("-c", NOHUP, "status")
    nothing = "Nothing is running: make start starts it.\n"
    assert result.stdout == f"{nothing}1 SIG_IGN default_int_handler\n"
