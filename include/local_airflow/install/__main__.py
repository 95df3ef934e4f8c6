"""Create the two virtual environments of this checkout, ``.venv`` and ``dbt_venv``.

The system's Python runs it (``python3 -m include.local_airflow.install``) before anything is
installed, so it uses only the standard library. It takes milliseconds if both are current.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from include.local_airflow.errors import DISK_FULL, LaunchError, run_reporting_errors
from include.local_airflow.install.package_index import download_wheel, index_url, save_wheel

ROOT = Path(__file__).absolute().parents[3]
CONSTRAINTS = ROOT / "constraints.txt"
_INPUTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt", CONSTRAINTS)


@dataclass(frozen=True)
class Environment:
    """A virtual environment and its requirements."""

    folder: Path
    description: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Return the file written last, which an interrupted installation lacks."""
        return self.folder / "installed"

    @property
    def log(self) -> Path:
        return self.folder / "install.log"

    def fingerprint(self) -> str:
        """Return a line that identifies the environment, and one that identifies its packages."""
        environment = hashlib.sha256(f"{sys.version}\n{self.folder}".encode())
        packages = hashlib.sha256(str(self.requirements).encode())
        for file in _INPUTS:
            packages.update(file.read_bytes())
        return f"{environment.hexdigest()}\n{packages.hexdigest()}\n"

    def is_current(self) -> bool:
        return self._stamped() == self.fingerprint()

    def is_reusable(self) -> bool:
        """Return whether this Python has completed it in this folder; its packages may be old."""
        return self._stamped().partition("\n")[0] == self.fingerprint().partition("\n")[0]

    def _stamped(self) -> str:
        """Return the stamp; empty if another tool has created the environment since."""
        try:
            made = (self.folder / "pyvenv.cfg").stat().st_mtime_ns
            ours = self.python.exists() and self.stamp.stat().st_mtime_ns >= made
            return self.stamp.read_text() if ours else ""
        except OSError:
            return ""


AIRFLOW = Environment(
    ROOT / ".venv", "Airflow, the dbt Cloud provider and the test tools", ("-r", str(_INPUTS[1]))
)
# dbt and Airflow have conflicting dependencies, so they are separate, as on the Astro Runtime.
DBT = Environment(ROOT / "dbt_venv", "dbt", ("dbt-core==1.11.*", "dbt-duckdb==1.11.*"))

UV = AIRFLOW.folder / "bin" / "uv"


def install() -> int:
    """Update both environments in parallel; return the exit code.

    Raises:
        LaunchError: the index is unreachable or lacks a package.
        OSError: the disk is full or read-only.
    """
    with CONSTRAINTS.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second make waits here
        if outdated := [each for each in (AIRFLOW, DBT) if not each.is_current()]:
            _make(outdated)
    return 0


def _make(outdated: list[Environment]) -> None:
    started = time.monotonic()
    for environment in outdated:
        if environment.is_reusable():  # update in place: Airflow may be running from it
            environment.stamp.unlink()
        else:
            _clear(environment)
    if not UV.exists():
        _install_uv()
    with ThreadPoolExecutor() as pool:
        list(pool.map(_fill, outdated))
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def _clear(environment: Environment) -> None:
    """Recreate the environment, for example after an interruption; keep uv's cache."""
    environment.folder.mkdir(exist_ok=True)
    environment.stamp.unlink(missing_ok=True)
    for entry in environment.folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if entry.name != _uv_cache().name:
                shutil.rmtree(entry)
        else:
            entry.unlink()
    venv.create(environment.folder, symlinks=True, with_pip=False)


def _install_uv() -> None:
    version = re.search(r"^uv==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE)
    if version is None:
        raise LaunchError("constraints.txt does not pin uv: add a line such as uv==0.13.8.")
    print(f"Fetching uv {version[1]} from the package index ...", flush=True)
    AIRFLOW.folder.mkdir(exist_ok=True)
    wheel = AIRFLOW.folder / "uv.whl"
    wheel.write_bytes(download_wheel("uv", version[1], os.environ))
    [site_packages] = AIRFLOW.folder.glob("lib/python3.*/site-packages")
    save_wheel(wheel, site_packages, UV.parent)
    wheel.unlink()


def _fill(environment: Environment) -> None:
    """Install the requirements; print uv's progress and write its output to the log."""
    name = environment.folder.name
    print(f"{name}: installing {environment.description} ...", flush=True)
    command = [str(UV), "pip", "install", "--python", str(environment.python)]
    command += ["--constraints", str(CONSTRAINTS), *environment.requirements]
    with (
        environment.log.open("w") as log,
        subprocess.Popen(
            command, env=uv_environment(), stderr=subprocess.PIPE, text=True, cwd=ROOT
        ) as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            log.write(line)
            if line.startswith(("Resolved", "Prepared", "Installed", "Bytecode")):
                print(f"{name}: {line.strip()}", flush=True)
    if process.returncode:
        raise LaunchError(_failure(environment))
    environment.stamp.write_text(environment.fingerprint())


def _uv_cache() -> Path:
    return AIRFLOW.folder / "uv-cache"


def uv_environment() -> dict[str, str]:
    """Return uv's settings: this Python, pip's index, the system's certificates, a local cache."""
    settings = {
        "UV_CACHE_DIR": str(_uv_cache()),
        "UV_DEFAULT_INDEX": index_url(os.environ),
        "UV_NO_PROGRESS": "true",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "true",
    }
    return settings | {key: value for key, value in os.environ.items() if value}


def _failure(environment: Environment) -> str:
    log = environment.log.read_text()
    file = environment.log.relative_to(ROOT)
    if "No space left" in log:
        return DISK_FULL
    if re.search(r"error sending request|[Ff]ailed to fetch|dns error|timed out", log):
        return (
            f"The package index stopped responding while {environment.folder.name} was installed: "
            f"check the network and run the command again. See {file} for details."
        )
    return f"uv could not install {environment.folder.name}: see {file}, then run make again."


if __name__ == "__main__":
    sys.exit(run_reporting_errors(install, "Stopped. The next run installs the missing packages."))
