from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.local_airflow.conftest import Checkout


@pytest.fixture
def stopped(checkout: Checkout) -> Iterator[Checkout]:
    """A checkout in which nothing runs after the test, whatever happened."""
    yield checkout
    checkout.launch("stop")


def has_pid_files(checkout: Checkout) -> bool:
    return any((checkout.folder / ".airflow/pids").glob("*"))


def test_a_taken_port_is_a_sentence(stopped: Checkout, listener: Callable[[], int]) -> None:
    port = listener()
    stopped.variables["PORT"] = str(port)
    result = stopped.launch("start")
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: Port {port} is in use by another program")
    assert not has_pid_files(stopped)


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
    assert f"make run DBT_CLOUD_PORT={port + 1}" in result.stderr


def test_a_process_that_ends_while_starting_is_named(stopped: Checkout, free_port: int) -> None:
    stopped.variables |= {
        "PORT": str(free_port),
        "AIRFLOW__TRIGGERER__CAPACITY": "none",
    }
    result = stopped.launch("start")
    assert result.returncode == 1
    assert "triggerer ended while it started" in result.stderr
    assert "Traceback (most recent call last):" not in result.stderr.partition(":\n")[0]
    assert not has_pid_files(stopped)
