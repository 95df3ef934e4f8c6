"""Free ports of this machine."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Sequence

# Above 10080, the highest port that browsers refuse to open.
FREE_PORTS = range(10_081, 32_768)


def free_port(among: Sequence[int] = FREE_PORTS) -> int:
    """Return a random loopback port without a listener.

    It lies below the ports of outgoing connections: 32768 and up on Linux, 49152 and up on macOS.
    """
    while True:
        port = secrets.choice(among)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
