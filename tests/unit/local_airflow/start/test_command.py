from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator

import pytest

from include.local_airflow.settings.active_dbt_cloud import check_dbt_pythons
from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.plan import airflow_supervisor, has_connections_of
from include.local_airflow.start.programs import airflow_programs
from include.local_dbt_cloud.testing import free_port
from tests.unit.local_airflow.conftest import REAL_ACCOUNT, Checkout

pytestmark = pytest.mark.slow


@pytest.fixture
def stopped(checkout: Checkout) -> Iterator[Checkout]:
    """Yield a checkout and check that nothing runs after the test."""
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
    ("variables", "message"),
    [
        ({"EXECUTOR": "CeleryExecutor"}, "needs a message broker: set BROKER_URL=redis://"),
        (
            {"EXECUTOR": "CeleryExecutor", "BROKER_URL": "redis://127.0.0.1:1/0"},
            "No message broker responds at 127.0.0.1:1 (",
        ),
        ({"DATABASE_URL": "mysql://root:secret@localhost/a"}, "DATABASE_URL is not the URL of"),
        (
            {"DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/a"},
            "The PostgreSQL of DATABASE_URL, 127.0.0.1:1/a, cannot be used (",
        ),
    ],
    ids=["no broker", "unreachable broker", "no PostgreSQL", "unreachable PostgreSQL"],
)
def test_start_reports_an_unusable_broker_or_database(
    stopped: Checkout, variables: dict[str, str], message: str
) -> None:
    stopped.variables |= {"PORT": str(free_port()), **variables}
    result = stopped.launch("start")
    assert result.returncode == 1
    assert message in result.stderr
    assert "secret" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("start",), ("run", "anything")], ids=" ".join)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.12", "LOCAL_DBT_CLOUD_DBT_PYTHON must be VERSION=PATH, comma-separated (got 1.12)"),
        ("1.12=no/python", "/no/python for dbt 1.12 does not exist."),
    ],
)
def test_commands_reject_an_invalid_dbt_python_before_anything_starts(
    stopped: Checkout, command: tuple[str, ...], text: str, message: str
) -> None:
    stopped.variables = {}
    (stopped.folder / ".env").write_text(f"LOCAL_DBT_CLOUD_DBT_PYTHON={text}\n")

    result = stopped.launch(*command)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    stopped.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = REAL_ACCOUNT
    check_dbt_pythons(Launch.read(stopped.folder, stopped.variables))  # ignored with a real account


def test_start_and_doctor_reject_an_airflow_with_other_connections(
    stopped: Checkout,
) -> None:
    """Tasks have the connections of the start."""
    stopped.variables |= {"PORT": str(free_port()), "DATABASE_URL": "postgresql://x@localhost/x"}
    launch = Launch.read(stopped.folder, stopped.variables)
    supervisor = airflow_supervisor(launch)
    supervisor.launch(airflow_programs(launch), os.environ | stopped.variables)
    assert has_connections_of(launch, supervisor)

    stopped.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = REAL_ACCOUNT.replace(":1", ":2")
    result = stopped.launch("start")
    output = stopped.launch("doctor").stdout

    assert result.returncode == 1
    assert f"127.0.0.1:{launch.port}, with other settings. Run make stop" in result.stderr
    assert "localhost:2" not in result.stdout
    assert output.startswith("✗ The running Airflow was started with different connections")


def test_concurrent_start_is_rejected(stopped: Checkout) -> None:
    with (stopped.folder / ".airflow" / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = stopped.launch("start")
    assert result.returncode == 1
    assert "Another make start is running in this checkout" in result.stderr


NOHUP = """\
import signal
from include.local_airflow.__main__ import main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print(main(), signal.getsignal(signal.SIGHUP).name, signal.getsignal(signal.SIGTERM).__name__)
"""


def test_status_without_processes_returns_1_and_keeps_nohup(checkout: Checkout) -> None:
    result = checkout.run("-c", NOHUP, "status")
    nothing = "Nothing is running. Start Airflow with make start.\n"
    assert result.stdout == f"{nothing}1 SIG_IGN default_int_handler\n"
