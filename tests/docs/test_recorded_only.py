"""Each field of a job or a trigger does something, or README lists it under what does nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from include.local_dbt_cloud.api.kinds import RESOURCES, SETTINGS
from include.local_dbt_cloud.storage.schemas import (
    PULL_REQUEST_IDS,
    CompletionCondition,
    Execution,
    Job,
    JobSettings,
    RunRequest,
    Triggers,
)
from include.local_dbt_cloud.storage.without_effect import FIELDS, TRIGGERS

FOLDER = Path(__file__).parents[2] / "include" / "local_dbt_cloud"
MODELS = (Job, Execution, JobSettings, Triggers, CompletionCondition, RunRequest)
# Fields that the code reads by another name.
READ_AS = {"job_type": "computed_job_type"} | dict.fromkeys(PULL_REQUEST_IDS, "pull_request")
WORDS = {"description", "cause"}  # what people read, and no more
UNREAD = {"schemas", "without_effect"}  # these only check and name fields
# Where things are done; what only answers a call is in api/, and schemas.py says what may come.
ROOMS = ("runs", "storage")


def leaves(model: type[BaseModel]) -> Iterator[str]:
    """Return the fields that hold a value and no further fields."""
    for name, field in model.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            yield name


def names_in(file: Path) -> Iterator[str]:
    """Return the names that the code reads; schemas.py only checks them."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_readme_lists_exactly_the_fields_without_effect() -> None:
    section = (FOLDER / "README.md").read_text().split("## What it does not do")[1].split("##")[0]
    rows = re.findall(r"^  - ((?:`\w+`(?:, )?)+): ", section, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}

    files = [file for room in ROOMS for file in (FOLDER / room).glob("*.py")]
    read = {name for file in files if file.stem not in UNREAD for name in names_in(file)}
    fields = {name for model in MODELS for name in leaves(model)} - WORDS

    assert {field for field in fields if READ_AS.get(field, field) not in read} == listed
    assert {*FIELDS, *TRIGGERS} == listed


def test_readme_lists_every_resource_without_effect() -> None:
    section = (FOLDER / "README.md").read_text().split("## What it does not do")[1].split("##")[0]
    stored = [kind.path for kind in RESOURCES if not kind.has_effect]
    names = [path.rpartition("/")[2] for path in (*stored, *(one.path for one in SETTINGS))]

    assert [name for name in names if f"`{name}`" not in section] == []
