"""The Airflow versions of the matrix, each with packages of its time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from include.local_airflow.install.__main__ import CONSTRAINTS, UV, uv_environment

PROJECT = Path(__file__).parents[2]
ENVIRONMENTS = PROJECT / ".matrix"


@dataclass(frozen=True)
class Airflow:
    """One version. ``options`` limit uv to packages of its release date, or to the pinned ones."""

    number: str
    options: tuple[str, ...]

    @property
    def minor(self) -> tuple[int, ...]:
        return tuple(map(int, self.number.split(".")[:2]))

    def python(self, packages: frozenset[str]) -> Path:
        """Return the Python of an environment with Airflow and packages; create it if needed."""
        name = "-".join(["airflow", *(each.rpartition("-")[2] for each in sorted(packages))])
        return self.environment(name, sorted(packages))

    def environment(self, name: str, requirements: list[str]) -> Path:
        """Return the Python of the environment ``name``; create it if it is missing or outdated."""
        packages = [f"apache-airflow=={self.number}", *requirements]
        folder = ENVIRONMENTS / self.number / name
        python, stamp = folder / "bin" / "python", folder / "installed.json"
        content = json.dumps([sys.version, *self.options, *packages])
        if not stamp.exists() or stamp.read_text() != content:
            shutil.rmtree(folder, ignore_errors=True)
            uv("venv", "--python", sys.executable, str(folder))
            uv("pip", "install", "--python", str(python), *self.options, *packages)
            stamp.write_text(content)
        return python


def pinned_airflow() -> Airflow:
    """Return the version that this repository pins."""
    [number] = re.findall(r"^apache-airflow==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE)
    return Airflow(number, ("--constraints", str(CONSTRAINTS)))


# Its sensor can be deferred from 2.1 on, which is newer than Airflow 3.1.8.
CENSUS = ("--exclude-newer-package", "airflow-provider-census=2026-06-05")
# A pre-release: uv selects one only if it is named, so its two parts are named too.
NEXT_AIRFLOW = Airflow(
    "3.4.0b2", ("apache-airflow-core==3.4.0b2", "apache-airflow-task-sdk==1.4.0b2")
)
AIRFLOWS = (
    Airflow("3.1.8", ("--exclude-newer", "2026-03-20", *CENSUS)),
    Airflow("3.2.2", ("--exclude-newer", "2026-06-05")),
    pinned_airflow(),
    NEXT_AIRFLOW,
)


def uv(*command: str) -> None:
    subprocess.run([UV, "--quiet", *command], env=uv_environment(), check=True)
