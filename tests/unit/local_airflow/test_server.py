from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import psutil
import pytest
import requests

from tests.unit.local_airflow.conftest import Checkout

HELLO = "@task\ndef hello() -> None:\n    print('hello')\nhello()"


@pytest.fixture
def stopped(checkout: Checkout) -> Iterator[Checkout]:
    """A checkout in which nothing runs after the test, whatever happened."""
    yield checkout
    checkout.launch("stop")


def pids(checkout: Checkout) -> dict[str, int]:
    folder = checkout.folder / ".airflow/pids"
    return {file.stem: json.loads(file.read_text())["pid"] for file in folder.glob("*.json")}


def test_start_twice_lose_one_and_stop(stopped: Checkout, free_port: int) -> None:
    stopped.variables["PORT"] = str(free_port)
    stopped.add_dag("says_hello", HELLO)
    first = stopped.launch("start")
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"http://127.0.0.1:{free_port}\n" in first.stdout
    health = requests.get(f"http://127.0.0.1:{free_port}/api/v2/monitor/health", timeout=10).json()
    assert {part["status"] for part in health.values()} == {"healthy"}

    running = pids(stopped)
    assert set(running) == {"api-server", "scheduler", "dag-processor", "triggerer"}
    family = [psutil.Process(pid) for pid in running.values()]
    family += [child for process in family for child in process.children(recursive=True)]
    listening = [
        c.laddr.ip for each in family for c in each.net_connections() if c.status == "LISTEN"
    ]
    assert set(listening) == {"127.0.0.1"}

    second = stopped.launch("start")
    assert second.returncode == 0
    assert "running already" in second.stdout
    assert pids(stopped) == running

    psutil.Process(running["triggerer"]).kill()
    third = stopped.launch("start")
    assert third.returncode == 1
    assert "its triggerer ended" in third.stderr

    end = stopped.launch("stop")
    assert (end.returncode, pids(stopped)) == (0, {})
    assert not any(process.is_running() for process in family)
    assert stopped.launch("stop").stdout == "Nothing was running.\n"


def test_a_taken_port_is_a_sentence(stopped: Checkout, listener: Callable[[], int]) -> None:
    port = listener()
    stopped.variables["PORT"] = str(port)
    result = stopped.launch("start")
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: Port {port} is in use by another program")
    assert pids(stopped) == {}


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
    assert pids(stopped) == {}
