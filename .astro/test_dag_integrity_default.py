"""`astro dev parse`: every file in dags/ imports, as the Dag processor would import it.

The CLI's own version of this file fails to collect on Airflow 3.3, where ``DagBag`` lost an
argument. This one asks ``DagBag`` what it takes, and works on Airflow 3.1 to 3.3.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from airflow.models import DagBag
from airflow.utils.db import initdb

PROJECT = Path(__file__).parents[1]
EXCEPTIONS = (PROJECT / ".astro" / "dag_integrity_exceptions.txt").read_text().split()

initdb()


def import_errors() -> dict[str, str]:
    """File, relative to the project → why it does not import; files without error have ''."""
    folder = os.environ.get("AIRFLOW__CORE__DAGS_FOLDER", str(PROJECT / "dags"))
    takes = inspect.signature(DagBag).parameters
    arguments = {"include_examples": False} if "include_examples" in takes else {}
    errors = DagBag(dag_folder=folder, **arguments).import_errors
    files = {str(path) for path in Path(folder).rglob("*.py")} | set(errors)
    return {os.path.relpath(path, PROJECT): errors.get(path, "").strip() for path in files}


@pytest.mark.parametrize(("path", "error"), sorted(import_errors().items()))
def test_file_imports(path: str, error: str) -> None:
    if path in EXCEPTIONS:
        pytest.skip("listed in .astro/dag_integrity_exceptions.txt")
    assert not error, f"{path} does not import:\n{error}"
