"""docs/make_it_yours.md: lines of Airflow 2 that fail on this Airflow, and what replaces them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Context

from tests.docs.test_words import PROJECT

PAGE = (PROJECT / "docs" / "make_it_yours.md").read_text()
SECTION = PAGE.partition("## A Dag of Airflow 2")[2].partition("\n## ")[0]
STOPS, CHANGED = SECTION.split("| Airflow 2 | Airflow 3 |")[1:]
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)`.* \|$", STOPS, re.MULTILINE)
NAMES: dict[str, Any] = {"DAG": DAG, "DagBag": DagBag, "PythonOperator": PythonOperator}


def test_every_row_has_both_lines() -> None:
    assert len(ROWS) == STOPS.count("\n| ") >= 10


@pytest.mark.parametrize("old", [old for old, _ in ROWS])
def test_line_of_airflow_2_fails(old: str) -> None:
    with pytest.raises((ImportError, TypeError, ValueError)):
        exec(old, dict(NAMES))


@pytest.mark.parametrize("new", [new for _, new in ROWS])
def test_its_replacement_runs(new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dags").mkdir()
    monkeypatch.chdir(tmp_path)

    exec(new, dict(NAMES))


def test_removed_and_remaining_names_of_the_context() -> None:
    removed, present = re.findall(r"^\| (.+) in templates \| removed: use (.+) \|$", CHANGED, re.M)[
        0
    ]
    context = Context.__annotations__

    assert not set(re.findall(r"`(\w+)`", removed)) & context.keys()
    assert set(re.findall(r"`(\w+)`", present)) <= context.keys()


def test_dag_without_schedule_or_catchup() -> None:
    dag = DAG("d")  # noqa: AIR002  # the default is what is tested

    assert dag.schedule is None
    assert not dag.catchup
