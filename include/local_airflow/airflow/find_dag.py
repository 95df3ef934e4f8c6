"""Find a Dag by its id."""

from __future__ import annotations

import re
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag as DagBag
from airflow.sdk import DAG

from include.local_airflow.errors import LaunchError


def find_dag(dag_id: str, folder: Path) -> DAG:
    """Return the Dag; the file with its name is read first.

    Raises:
        LaunchError: the Dag does not exist, or its file cannot be imported.
    """
    own_file = folder / f"{dag_id}.py"
    for place in (own_file, folder) if own_file.exists() else (folder,):
        bag = DagBag(place)
        if dag_id in bag.dags:
            return bag.dags[dag_id]
        if place == own_file and bag.import_errors:
            break
    if bag.import_errors:
        file, trace = next(iter(bag.import_errors.items()))
        reason = trace.strip().splitlines()[-1]
        raise LaunchError(
            f"Dag {dag_id} was not found, and {Path(file).name} cannot be imported ({reason}): "
            "correct that file, then run the command again."
        )
    if skipped := _skipped_file(dag_id, folder):
        raise LaunchError(
            f"Airflow skips {skipped.name}, which defines the Dag {dag_id}: add the words airflow "
            "and dag to the file, for example in a comment."
        )
    known = ", ".join(sorted(bag.dags)) or "none"
    raise LaunchError(f"Dag {dag_id} does not exist. Dags in {folder.name}/: {known}.")


def _skipped_file(dag_id: str, folder: Path) -> Path | None:
    """Return the file that defines the Dag but lacks a word that Airflow's safe mode requires.

    Only files that contain the Dag's id are imported; the others may be scripts.
    """
    names_it = re.compile(rf"\b{re.escape(dag_id)}\b")
    for file in sorted(folder.rglob("*.py")):
        text = file.read_text(errors="replace")
        if all(word in text.lower() for word in ("airflow", "dag")):
            continue
        if names_it.search(f"{file.stem}\n{text}") and dag_id in DagBag(file, safe_mode=False).dags:
            return file
    return None
