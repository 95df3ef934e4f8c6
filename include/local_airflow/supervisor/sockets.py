"""The folder of Unix sockets: Airflow's home, or a short temporary folder."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from include.local_airflow.errors import LaunchError

LONGEST = ".s.PGSQL.5432.lock"


def socket_folder(home: Path) -> Path:
    """Return a folder of this user that supports sockets.

    A socket's path has at most 107 bytes (103 on macOS), and some file systems support no sockets.

    Raises:
        LaunchError: neither the home nor the temporary folder supports sockets.
    """
    short = _short_folder(home)
    home.mkdir(exist_ok=True)
    if _supports_sockets(home):
        return home
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
    if short.stat().st_uid == os.getuid() and _supports_sockets(short):
        return short
    raise LaunchError(
        f"Could not create a Unix socket in {home} or {short}: move the checkout to a shorter path "
        "on a local disk, or set TMPDIR to a folder that you own."
    )


def remove_socket_folder(home: Path) -> None:
    """Remove the short folder if it exists and is empty."""
    with suppress(OSError):
        _short_folder(home).rmdir()


def _short_folder(home: Path) -> Path:
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"airflow-{os.getuid()}-{name}")


def _supports_sockets(folder: Path) -> bool:
    probe_path = folder / f"{LONGEST}.{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(probe_path))
    except OSError:
        return False
    finally:
        probe_path.unlink(missing_ok=True)
    return True
