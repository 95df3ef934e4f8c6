"""Virtual environments of tests, with packages from the registry."""

from __future__ import annotations

import subprocess
from pathlib import Path

from include.local_airflow.install.__main__ import UV, uv_environment


def uv(*arguments: str | Path) -> None:
    subprocess.run([UV, "--quiet", *arguments], env=uv_environment(), check=True)
