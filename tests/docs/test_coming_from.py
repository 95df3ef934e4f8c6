"""What docs/coming_from.md names in its column "here" exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "coming_from.md").read_text()
DAGS = {file.stem: file.read_text() for file in (PROJECT / "dags").glob("*.py")}
HERE = re.findall(r"^\| (?!what you).+? \| (.+?) \|", PAGE, re.MULTILINE)
NAMES = sorted({name for cell in HERE for name in re.findall(r"`([^`]+)`", cell)})


def is_task(name: str) -> bool:
    dag, _, task = name.partition(".")
    return re.search(rf'task_id="{task}"|def {task}\(', DAGS.get(dag, "")) is not None


def is_connection(name: str) -> bool:
    settings = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text())
    return name in {each["conn_id"] for each in settings["airflow"]["connections"]}


def is_constant(name: str) -> bool:
    return any(re.search(rf"^{name}\b.* = ", text, re.MULTILINE) for text in DAGS.values())


def is_class(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    return bool(module) and isinstance(getattr(import_module(module), attribute), type)


@pytest.mark.parametrize("name", NAMES)
def test_named_task_connection_constant_or_class_exists(name: str) -> None:
    assert is_task(name) or is_connection(name) or is_constant(name) or is_class(name)


def test_page_lists_every_dag() -> None:
    assert set(re.findall(r"\[\w+\]\(\.\./dags/(\w+)\.py\)", " ".join(HERE))) == DAGS.keys()
