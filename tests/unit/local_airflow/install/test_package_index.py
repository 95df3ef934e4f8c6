from __future__ import annotations

import platform
import socket
from pathlib import Path
from threading import Thread

import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.install.package_index import PYPI, download_wheel, index_url, save_wheel
from include.local_dbt_cloud.testing import free_port
from tests.unit.local_airflow.package_index import add_wheel, serve

HERE = f"py3-none-manylinux_2_17_{platform.machine()}.manylinux2014_{platform.machine()}"


def test_download_wheel_selects_this_version_and_machine(tmp_path: Path) -> None:
    add_wheel(tmp_path, "uv", "1.0.0", HERE)
    add_wheel(tmp_path, "uv", "1.0.1", "py3-none-win_amd64")
    add_wheel(tmp_path, "uv", "1.0.1", "py3-none-manylinux_2_17_s390x.manylinux2014_s390x")
    expected = add_wheel(tmp_path, "uv", "1.0.1", HERE)
    with serve(tmp_path) as url:
        assert download_wheel("uv", "1.0.1", {"PIP_INDEX_URL": url}) == expected.read_bytes()


def test_download_wheel_rejects_a_changed_wheel(tmp_path: Path) -> None:
    wheel = add_wheel(tmp_path, "uv", "1.0.1", HERE)
    wheel.write_bytes(wheel.read_bytes() + b"more")
    with serve(tmp_path) as url, pytest.raises(LaunchError, match="sha256 is missing or wrong"):
        download_wheel("uv", "1.0.1", {"PIP_INDEX_URL": url})


def test_download_wheel_reports_a_missing_wheel(tmp_path: Path) -> None:
    add_wheel(tmp_path, "uv", "1.0.1", HERE)
    with serve(tmp_path) as url, pytest.raises(LaunchError, match=r"no uv 9\.9\.9 for"):
        download_wheel("uv", "9.9.9", {"PIP_INDEX_URL": url})


def test_download_wheel_reports_an_unreachable_index_without_its_password() -> None:
    index = f"http://user:secret@127.0.0.1:{free_port()}/simple"
    with pytest.raises(LaunchError, match=r"cannot be read .*Connection refused") as caught:
        download_wheel("uv", "1.0.1", {"PIP_INDEX_URL": index})
    assert "secret" not in str(caught.value)


def test_download_wheel_reports_a_missing_certificate_file() -> None:
    with pytest.raises(LaunchError, match="No such file"):
        download_wheel("uv", "1.0.1", {"SSL_CERT_FILE": "/no/such.pem"})


def test_download_wheel_reports_an_incomplete_response() -> None:
    def respond() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=respond).start()
        index = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        with pytest.raises(LaunchError, match="IncompleteRead"):
            download_wheel("uv", "1.0.1", {"PIP_INDEX_URL": index})


def test_save_wheel_unpacks_packages_and_scripts(tmp_path: Path) -> None:
    files = {"uv/__init__.py": b"", "uv-1.0.1.data/scripts/uv": b"#!/bin/sh\n"}
    wheel = add_wheel(tmp_path, "uv", "1.0.1", HERE, files)
    (tmp_path / "bin").mkdir()
    save_wheel(wheel, tmp_path / "site-packages", tmp_path / "bin")
    assert (tmp_path / "site-packages/uv/__init__.py").exists()
    assert (tmp_path / "bin/uv").stat().st_mode & 0o111


def test_index_url_prefers_the_environment_to_pip_files(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://files.example/simple/\n")
    by_file = {"PIP_CONFIG_FILE": str(config)}
    assert index_url(by_file) == "https://files.example/simple"
    by_variable = by_file | {"PIP_INDEX_URL": "https://variable.example/simple"}
    assert index_url(by_variable) == "https://variable.example/simple"
    assert PYPI.startswith("https://")
