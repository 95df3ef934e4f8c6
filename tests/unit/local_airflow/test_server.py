from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator

import pytest

from include.local_airflow.processes import free_port
from tests.unit.local_airflow.conftest import Checkout


@pytest.fixture
def stopped(checkout: Checkout) -> Iterator[Checkout]:
    """A checkout in which nothing runs after the test, whatever happened."""
    yield checkout
    assert "Nothing was running." in checkout.launch("stop").stdout


def test_a_taken_port_is_a_sentence(stopped: Checkout, listener: Callable[[], int]) -> None:
    port = listener()
    stopped.variables["PORT"] = str(port)
    result = stopped.launch("start")
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: Port {port} is in use by another program")


def test_a_taken_dbt_cloud_port_is_a_sentence(
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


def test_a_process_that_ends_while_starting_is_named(stopped: Checkout) -> None:
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
def test_what_cannot_be_reached_is_a_sentence(
    stopped: Checkout, variables: dict[str, str], sentence: str
) -> None:
    stopped.variables |= {"PORT": str(free_port()), **variables}
    result = stopped.launch("start")
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "secret" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_second_start_at_the_same_time_is_a_sentence(stopped: Checkout) -> None:
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


def test_the_status_of_nothing_and_nohup_stays_in_force(checkout: Checkout) -> None:
    result = checkout.run("-c", NOHUP, "status")
    nothing = "Nothing is running: make start starts it.\n"
    assert result.stdout == f"{nothing}1 SIG_IGN default_int_handler\n"
