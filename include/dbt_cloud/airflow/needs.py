"""Refuses an older Airflow or provider with a sentence, before anything else is imported.

Airflow before 3.3 would load this folder and break its promises: it keeps no task state, waiting
triggers share no poll, and none hears that a user has cleared or marked its task.
"""

from __future__ import annotations

from importlib.metadata import version

import airflow
from packaging.version import Version

PROVIDER = "apache-airflow-providers-dbt-cloud"
NEEDS = {"apache-airflow": "3.3", PROVIDER: "4.11.1"}
ADVICE = (
    "Update it, or take a Dag that does without this folder, such as run_dbt_cloud_job, "
    "which runs on Airflow 3.1."
)


def check(installed: dict[str, str]) -> None:
    """Raises ImportError for a package that is too old."""
    for package, least in NEEDS.items():
        here = installed[package]
        if Version(here).release < Version(least).release:
            raise ImportError(
                f"include/dbt_cloud needs {package} {least} or newer, here is {here}. {ADVICE}"
            )


check({"apache-airflow": airflow.__version__, PROVIDER: version(PROVIDER)})
