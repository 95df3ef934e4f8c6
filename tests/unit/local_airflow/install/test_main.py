from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from include.local_airflow.errors import disk_error
from include.local_dbt_cloud.testing import free_port
from tests.unit.local_airflow.conftest import Checkout
from tests.unit.local_airflow.install.test_package_index import HERE
from tests.unit.local_airflow.package_index import add_wheel, serve

INSTALL = ("-m", "include.local_airflow.install")

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="serves Linux wheels")


@pytest.fixture
def small_checkout(checkout: Checkout, tmp_path: Path) -> Checkout:
    """Return a checkout that requires two tiny packages, in an index with the real uv."""
    uv = Path(sysconfig.get_path("scripts"), "uv").read_bytes()
    index = tmp_path / "index"
    add_wheel(index, "uv", "9.9.9", HERE, {"uv-9.9.9.data/scripts/uv": uv})
    add_wheel(index, "hello", "1.0", files={"hello.py": b"GREETING = 'hello'\n"})
    add_wheel(index, "dbt-core", "1.11.0", files={"dbt.py": b""})
    add_wheel(index, "dbt-duckdb", "1.11.0")
    (checkout.folder / "requirements.txt").write_text("")
    (checkout.folder / "requirements-dev.txt").write_text("hello\nuv\n")
    (checkout.folder / "constraints.txt").write_text("hello==1.0\nuv==9.9.9\n")
    return checkout


def imports(checkout: Checkout, environment: str, module: str) -> bool:
    python = checkout.folder / environment / "bin" / "python"
    return (
        checkout.run(
            "-c",
            f"import subprocess as s; s.run(['{python}', '-c', 'import {module}'], check=True)",
        ).returncode
        == 0
    )


def test_install_runs_once_and_repairs_an_interrupted_installation(
    small_checkout: Checkout, tmp_path: Path
) -> None:
    with serve(tmp_path / "index") as url:
        small_checkout.variables |= {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url}
        first = small_checkout.run(*INSTALL)
        assert first.returncode == 0, first.stderr
        assert "Installed 2 packages" in first.stdout
        assert imports(small_checkout, ".venv", "hello")
        assert imports(small_checkout, "dbt_venv", "dbt")

        (small_checkout.folder / ".venv" / "installed").unlink()
        [installed] = (small_checkout.folder / ".venv").glob("lib/*/site-packages/hello.py")
        installed.unlink()
        repaired = small_checkout.run(*INSTALL)
        assert repaired.returncode == 0, repaired.stderr
        assert imports(small_checkout, ".venv", "hello")

    again = small_checkout.run(*INSTALL)  # without the index: no request is sent
    assert (again.returncode, again.stdout) == (0, "")


def test_install_replaces_the_environment_of_astro_standalone(
    small_checkout: Checkout, tmp_path: Path
) -> None:
    with serve(tmp_path / "index") as url:
        small_checkout.variables |= {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url}
        assert small_checkout.run(*INSTALL).returncode == 0
        [installed] = (small_checkout.folder / ".venv").glob("lib/*/site-packages/hello.py")
        installed.unlink()  # the CLI's environment has another Python
        uv = str(Path(sysconfig.get_path("scripts"), "uv"))
        command = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, ".venv"]
        subprocess.run(command, cwd=small_checkout.folder, check=True)
        assert small_checkout.run(*INSTALL).returncode == 0
    assert imports(small_checkout, ".venv", "hello")


def test_install_updates_the_environment_for_changed_requirements(
    small_checkout: Checkout, tmp_path: Path
) -> None:
    add_wheel(tmp_path / "index", "hello", "1.1", files={"greeting.py": b""})
    with serve(tmp_path / "index") as url:
        small_checkout.variables |= {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url}
        assert small_checkout.run(*INSTALL).returncode == 0
        constraints = small_checkout.folder / "constraints.txt"
        constraints.write_text(constraints.read_text().replace("hello==1.0", "hello==1.1"))
        python = small_checkout.folder / ".venv/bin/python"
        before = python.lstat()
        assert small_checkout.run(*INSTALL).returncode == 0
        assert python.lstat() == before, "the environment was recreated"
    assert imports(small_checkout, ".venv", "greeting")


def test_install_reports_an_unreachable_index(small_checkout: Checkout) -> None:
    small_checkout.variables["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{free_port()}/simple"
    result = small_checkout.run(*INSTALL)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: The package index at 127.0.0.1")
    assert "Traceback" not in result.stderr


def test_install_refers_to_its_log_for_a_missing_package(
    small_checkout: Checkout, tmp_path: Path
) -> None:
    (small_checkout.folder / "requirements-dev.txt").write_text("no-such-package\n")
    with serve(tmp_path / "index") as url:
        small_checkout.variables |= {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url}
        result = small_checkout.run(*INSTALL)
    assert result.returncode == 1
    assert ".venv/install.log" in result.stderr
    assert "no-such-package" in (small_checkout.folder / ".venv/install.log").read_text()


@pytest.mark.parametrize(
    ("path", "message"),
    [("/dev/full", "The disk is full"), ("/proc/sys/kernel/ostype", "cannot be read or written")],
)
def test_disk_error_describes_full_and_unwritable_files(path: str, message: str) -> None:
    with pytest.raises(OSError, match=path if "proc" in path else "space") as caught:
        Path(path).write_text("x")
    assert message in str(disk_error(caught.value))
