"""Airflow's environment without Docker: home in ``.airflow/``, connections in ``.env``."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

ROOT = Path(__file__).absolute().parents[1]


def airflow_environment() -> dict[str, str]:
    """Return the variables; the shell overrides ``.env``."""
    file = dotenv_values(ROOT / ".env", interpolate=False, encoding="utf-8-sig")
    own = {
        "AIRFLOW_HOME": str(ROOT / ".airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "PYTHONPATH": str(ROOT),
    }
    return {name: value for name, value in file.items() if value} | dict(os.environ) | own
