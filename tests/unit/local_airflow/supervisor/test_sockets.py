"""Sockets of a checkout whose path is too long for a socket."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.command import stop
from include.local_airflow.supervisor.client import Supervisor
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.sockets import socket_folder


def test_sockets_of_a_long_path_use_a_short_folder_until_stop(tmp_path: Path) -> None:
    launch = Launch({}, tmp_path / ("long" * 30))
    launch.home.mkdir(parents=True)
    supervisor = Supervisor("airflow", launch.root, launch.home)
    folder = socket_folder(launch.home)
    try:
        supervisor.launch([Program("sleeper", ["sleep", "300"])], os.environ)
        supervisor.start("sleeper")
        assert supervisor.states()["sleeper"].is_running
        assert (folder / "airflow.sock").is_socket()
    finally:
        stop(launch, Console(quiet=True))
    assert not folder.exists()


def test_stop_keeps_a_socket_folder_that_is_not_empty(tmp_path: Path) -> None:
    launch = Launch({}, tmp_path / ("long" * 30))
    launch.home.mkdir(parents=True)
    file = socket_folder(launch.home) / "other.sock"
    file.touch()
    stop(launch, Console(quiet=True))
    assert file.exists()
    file.unlink()
    stop(launch, Console(quiet=True))
    assert not file.parent.exists()
