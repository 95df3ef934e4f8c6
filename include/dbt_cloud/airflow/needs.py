"""Reject older versions of Airflow and the provider before anything else is imported.

Airflow before 3.3 can import this folder, but has no task state store, does not share polls between
triggers, and does not notify a trigger when a user clears or marks its task.
"""

from __future__ import annotations

from importlib.metadata import version

import airflow
from packaging.version import Version

PROVIDER = "apache-airflow-providers-dbt-cloud"
NEEDS = {"apache-airflow": "3.3", PROVIDER: "4.11.1"}
ADVICE = (
    "Update it, or use a Dag without this folder, such as run_dbt_cloud_job, "
    "which runs on Airflow 3.1."
)


def check(installed: dict[str, str]) -> None:
    """Raise ``ImportError`` for a package that is too old."""
    for package, least in NEEDS.items():
        here = installed[package]
        if Version(here).release < Version(least).release:
            raise ImportError(
                f"include/dbt_cloud needs {package} {least} or newer, found {here}. {ADVICE}"
            )


check({"apache-airflow": airflow.__version__, PROVIDER: version(PROVIDER)})
