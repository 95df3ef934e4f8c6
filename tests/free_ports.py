"""Ports for the servers that tests start.

A port is returned only once, and each worker of xdist has its own range, because a server may
start, or start again, long after its port was chosen.
"""

from __future__ import annotations

import os

from include.local_airflow.supervisor import locks_and_ports

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_unused = list(locks_and_ports.FREE_PORTS[_WORKER % 8 :: 8])


def free_port() -> int:
    """Return a loopback port without a listener, which this test run has not used."""
    port = locks_and_ports.free_port(_unused)
    _unused.remove(port)
    return port
