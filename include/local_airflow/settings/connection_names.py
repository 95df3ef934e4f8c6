"""Warnings about connection variables whose names are probably mistyped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from include.local_airflow.settings.airflow_settings import NAME, read_settings
from include.local_airflow.settings.connection_variable import PREFIX
from include.local_airflow.settings.launch import Launch

VARIABLE_NAME = re.compile(r"AIRFLOW_+CON[A-Z]*_+(.+)", re.IGNORECASE)  # also misspelled
MIN_SIMILARITY = 0.85  # dbt_cloud_eu and dbt_cloud_default are less similar


def mistyped_names(launch: Launch) -> Iterator[str]:
    """Yield a warning for each variable whose name resembles that of a configured connection.

    There is none if the project's Python code contains the connection's id.
    """
    right = [each.conn_id.upper() for each in read_settings(launch.root / NAME).connections]
    for name in sorted(launch.variables):
        is_read = name.startswith(PREFIX)
        found = VARIABLE_NAME.fullmatch(name)
        if not found or (is_read and found[1] in right):
            continue
        alike = get_close_matches(found[1].upper(), right, n=1, cutoff=MIN_SIMILARITY)
        if alike and not (is_read and _is_referenced(launch, found[1].lower())):
            yield f"{name} resembles {PREFIX}{alike[0]}, and no Dag uses it: correct the name."


def _is_referenced(launch: Launch, conn_id: str) -> bool:
    folders = (launch.dags_folder, launch.root / "include", launch.root / "plugins")
    files = (file for folder in folders for file in folder.rglob("*.py"))
    texts = (file.read_text(errors="replace") for file in files if ".local" not in file.parts)
    return any(re.search(rf"\b{re.escape(conn_id)}\b", text) for text in texts)
