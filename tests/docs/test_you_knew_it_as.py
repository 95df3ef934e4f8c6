"""What docs/you_knew_it_as.md says is here, is here."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "you_knew_it_as.md").read_text()
DAGS = {file.stem: file.read_text() for file in (PROJECT / "dags").glob("*.py")}
HERE = [
    line.strip("| ").split(" | ")[-1]
    for line in PAGE.partition("## Dags")[2].splitlines()
    if line.startswith("| ") and not line.startswith("| you knew")
]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def is_task(name: str) -> bool:
    dag, _, task = name.partition(".")
    defined = rf'task_id="{task}"|def {task}\('
    return dag in DAGS and re.search(defined, DAGS[dag]) is not None


def is_connection(name: str) -> bool:
    settings = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text())
    return name in {each["conn_id"] for each in settings["airflow"]["connections"]}


def is_constant(name: str) -> bool:
    return any(re.search(rf"^{name}\b.* = ", text, re.MULTILINE) for text in DAGS.values())


def class_named(name: str) -> type | None:
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute) if module.count(".") >= 1 else None
    return found if inspect.isclass(found) else None


def takes(operator: type, argument: str) -> bool:
    return any(argument in inspect.signature(base).parameters for base in operator.mro())


@pytest.mark.parametrize("cell", HERE)
def test_names_in_the_last_column_exist(cell: str) -> None:
    classes: list[type] = []
    for name in names(cell):
        if re.fullmatch(r"\w+=\w+", name):
            assert any(takes(each, name.partition("=")[0]) for each in classes), name
        elif not (is_task(name) or is_connection(name) or is_constant(name)):
            found = class_named(name)
            assert found, name
            classes.append(found)
    for dag, file in re.findall(r"\[(\w+)\]\(\.\./dags/(\w+)\.py\)", cell):
        assert dag == file
        assert f"def {dag}(" in DAGS[file]


def test_every_row_names_a_listed_source() -> None:
    shorts = set(re.findall(r"^\| ([\w ]+) \| \[", PAGE, re.MULTILINE)) | {"all"}
    rows = re.findall(r"^\| (?!you knew).+ \| ([\w, ]+) \| .+ \|$", PAGE, re.MULTILINE)

    assert len(rows) == len(HERE) > 40
    assert {short for row in rows for short in row.split(", ")} == shorts
