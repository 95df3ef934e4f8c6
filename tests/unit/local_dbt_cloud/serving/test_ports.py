from __future__ import annotations

import socket
from pathlib import Path

import pytest

from include.local_dbt_cloud.serving.ports import FREE_PORTS, free_port


def test_free_port_returns_a_port_that_outgoing_connections_do_not_get() -> None:
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(outgoing.read_text().split()[0]) if outgoing.exists() else 49_152  # macOS

    port = free_port()

    with socket.create_server(("127.0.0.1", port)):
        assert port < lowest


def test_free_port_passes_over_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        used = listener.getsockname()[1]
        free = free_port()
        assert {free_port([used, free]) for _ in range(20)} == {free}


@pytest.mark.parametrize("port", [4045, 5060, 6000, 6667, 6697, 10_080])
def test_free_ports_are_open_to_browsers(port: int) -> None:
    assert port not in FREE_PORTS  # https://fetch.spec.whatwg.org/#port-blocking
