"""Every file in dags/ imports, and every Dag follows the rules below. Add your own rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.models import DagBag

if TYPE_CHECKING:
    from airflow.sdk import DAG

FOLDER = Path(__file__).parents[1] / "dags"
FILES = sorted(FOLDER.glob("*.py"))
BAG = DagBag(FOLDER)
DAGS = list(BAG.dags.values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_imports_and_defines_a_dag(file: Path) -> None:
    assert not BAG.import_errors.get(str(file))
    assert str(file) in {dag.fileloc for dag in DAGS}


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.dag_id)
def test_dag_has_an_owner_tags_retries_and_a_page(dag: DAG) -> None:
    assert dag.tags
    assert dag.doc_md
    assert dag.catchup is False
    for task in dag.tasks:
        assert task.owner not in ("airflow", ""), task.task_id
        assert (task.retries or 0) >= 1, task.task_id
