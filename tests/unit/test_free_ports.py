"""``tests/free_ports.py``: no two servers of a test run get the same port."""

from __future__ import annotations

from tests.free_ports import free_port


def test_free_port_returns_no_port_twice() -> None:
    ports = [free_port() for _ in range(300)]

    assert len(set(ports)) == len(ports)
