"""Connection variables that nobody reads, since their names are probably mistyped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from include.local_airflow.settings.airflow_settings import NAME, read_settings
from include.local_airflow.settings.connection_variable import PREFIX
from include.local_airflow.settings.launch import Launch

BEGINNING = re.compile(r"AIRFLOW_+CON[A-Z]*_+(.+)", re.IGNORECASE)  # well or badly written
ALIKE = 0.85  # of 1; dbt_cloud_eu is less like dbt_cloud_default


def misnamed(launch: Launch) -> Iterator[str]:
    """Yield a sentence for each variable that resembles that of a connection in the settings file.

    One whose connection the project's own Python names is meant as it is.
    """
    right = [each.conn_id.upper() for each in read_settings(launch.root / NAME).connections]
    for name in sorted(launch.variables):
        is_read = name.startswith(PREFIX)
        found = BEGINNING.fullmatch(name)
        if not found or (is_read and found[1] in right):
            continue
        alike = get_close_matches(found[1].upper(), right, n=1, cutoff=ALIKE)
        if alike and not (is_read and _is_named(launch, found[1].lower())):
            yield f"{name} resembles {PREFIX}{alike[0]}, and no Dag reads it: correct the name."


def _is_named(launch: Launch, conn_id: str) -> bool:
    folders = (launch.dags_folder, launch.root / "include", launch.root / "plugins")
    files = (file for folder in folders for file in folder.rglob("*.py"))
    texts = (file.read_text(errors="replace") for file in files if ".local" not in file.parts)
    return any(re.search(rf"\b{re.escape(conn_id)}\b", text) for text in texts)
