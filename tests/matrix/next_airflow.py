"""``make test-next``: run the tests on the next Airflow, in a separate environment."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.matrix.airflows import NEXT_AIRFLOW, PROJECT

FILES = ("requirements.txt", "requirements-dev.txt")


def requirements() -> list[str]:
    """Return the requirements of the tests without Airflow itself."""
    lines = [line for file in FILES for line in (PROJECT / file).read_text().splitlines()]
    stripped = [line.partition(" #")[0].strip() for line in lines]
    return [line for line in stripped if line and line[0] not in "#-" and not is_airflow(line)]


def is_airflow(requirement: str) -> bool:
    return requirement.startswith("apache-airflow==")


def main(arguments: list[str]) -> int:
    python = NEXT_AIRFLOW.environment("tests", requirements())
    variables = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [str(python), "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
