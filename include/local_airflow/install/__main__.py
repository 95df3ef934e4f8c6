"""Make the two virtual environments of this checkout, `.venv` and `dbt_venv`.

Run by the system's Python (`python3 -m include.local_airflow.install`) before anything is
installed, hence the standard library only. Does nothing, in milliseconds, when both are current.
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

from include.local_airflow.errors import DISK_FULL, LaunchError, told
from include.local_airflow.install.package_index import download_wheel, index_url, save_wheel

ROOT = Path(__file__).absolute().parents[3]
CONSTRAINTS = ROOT / "constraints.txt"
_INPUTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt", CONSTRAINTS)


@dataclass(frozen=True)
class Environment:
    """A virtual environment and what belongs in it."""

    folder: Path
    what: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written last, so that an environment whose making was interrupted has none."""
        return self.folder / "installed"

    @property
    def log(self) -> Path:
        return self.folder / "install.log"

    def fingerprint(self) -> str:
        """Return one line for what asks for a new environment, one for what asks for an update."""
        place = hashlib.sha256(f"{sys.version}\n{self.folder}".encode())
        packages = hashlib.sha256(str(self.requirements).encode())
        for file in _INPUTS:
            packages.update(file.read_bytes())
        return f"{place.hexdigest()}\n{packages.hexdigest()}\n"

    def is_current(self) -> bool:
        return self._stamped() == self.fingerprint()

    def is_sound(self) -> bool:
        """Made to its end, by this Python and in this place; packages may have changed since."""
        return self._stamped().partition("\n")[0] == self.fingerprint().partition("\n")[0]

    def _stamped(self) -> str:
        """Return what the stamp says, "" if since then another tool has made the environment."""
        try:
            made = (self.folder / "pyvenv.cfg").stat().st_mtime_ns
            ours = self.python.exists() and self.stamp.stat().st_mtime_ns >= made
            return self.stamp.read_text() if ours else ""
        except OSError:
            return ""


AIRFLOW = Environment(
    ROOT / ".venv", "Airflow, the dbt Cloud provider and the test tools", ("-r", str(_INPUTS[1]))
)
# dbt's tree of dependencies is kept apart from Airflow's, as on the Astro Runtime.
DBT = Environment(ROOT / "dbt_venv", "dbt", ("dbt-core==1.11.*", "dbt-duckdb==1.11.*"))

UV = AIRFLOW.folder / "bin" / "uv"


def install() -> int:
    """Bring both environments up to date, at the same time; return the exit code.

    Raises:
        LaunchError: the index cannot be reached or lacks something.
        OSError: the disk is full or read-only.
    """
    with CONSTRAINTS.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second make in another terminal waits here
        if outdated := [each for each in (AIRFLOW, DBT) if not each.is_current()]:
            _make(outdated)
    return 0


def _make(outdated: list[Environment]) -> None:
    started = time.monotonic()
    for environment in outdated:
        if environment.is_sound():  # an Airflow may be running from it: update it in place
            environment.stamp.unlink()
        else:
            _clear(environment)
    if not UV.exists():
        _install_uv()
    with ThreadPoolExecutor() as pool:
        list(pool.map(_fill, outdated))
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def _clear(environment: Environment) -> None:
    """Start the environment anew, whatever an interrupted installation left; keep uv's cache."""
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
    """Install the requirements, printing uv's progress and keeping all it says in the log."""
    name = environment.folder.name
    print(f"{name}: installing {environment.what} ...", flush=True)
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
    """Have uv use this Python, pip's index and the system's certificates, inside the checkout."""
    wanted = {
        "UV_CACHE_DIR": str(_uv_cache()),
        "UV_DEFAULT_INDEX": index_url(os.environ),
        "UV_NO_PROGRESS": "true",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "true",
    }
    return wanted | {key: value for key, value in os.environ.items() if value}


def _failure(environment: Environment) -> str:
    log = environment.log.read_text()
    place = environment.log.relative_to(ROOT)
    if "No space left" in log:
        return DISK_FULL
    if re.search(r"error sending request|[Ff]ailed to fetch|dns error|timed out", log):
        return (
            f"The package index stopped answering while {environment.folder.name} was filled: "
            f"check the network and run the command again. Details are in {place}."
        )
    return f"uv could not fill {environment.folder.name}: read {place}, then run the command again."


if __name__ == "__main__":
    sys.exit(told(install, interrupted="Stopped. The next run installs what is missing."))
