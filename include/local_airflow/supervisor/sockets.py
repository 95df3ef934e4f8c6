"""Where Unix sockets lie: in Airflow's home, or in a short folder where that does not serve."""

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
    """Return a folder of this user's in which sockets can be made.

    A socket's path has at most 107 bytes (103 on macOS), and some file systems have none at all.

    Raises:
        LaunchError: neither the home nor the folder for temporary files will do.
    """
    short = _short(home)
    home.mkdir(exist_ok=True)
    if _serves(home):
        return home
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
    if short.stat().st_uid == os.getuid() and _serves(short):
        return short
    raise LaunchError(
        f"No Unix socket can be made in {home} nor in {short}: move the checkout to a path that is "
        "shorter and on a disk of this machine, or set TMPDIR to a folder of yours."
    )


def remove_socket_folder(home: Path) -> None:
    """Remove the short folder, if there is one and no socket in it."""
    with suppress(OSError):
        _short(home).rmdir()


def _short(home: Path) -> Path:
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"airflow-{os.getuid()}-{name}")


def _serves(folder: Path) -> bool:
    place = folder / f"{LONGEST}.{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(place))
    except OSError:
        return False
    finally:
        place.unlink(missing_ok=True)
    return True
