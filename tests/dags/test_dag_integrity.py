"""What every Dag here promises: see "Ten habits" in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

PROJECT = Path(__file__).parents[2]
FILES = sorted((PROJECT / "dags").glob("*.py"))
MAX_LINES = 110
SEVERAL = {"hourly_and_daily_dbt_cloud_jobs": {"hourly_dbt_cloud_job", "daily_dbt_cloud_job"}}
# Its Dag runs keep their dbt Cloud runs apart by themselves.
SEVERAL_AT_ONCE = {"run_dbt_cloud_job_exactly_once"}

# Runs one Dag file as a script, where reading from a network, database or Variable ends it.
# Not by an exception, which could be caught and forgotten.
PARSE_OFFLINE = """
import os, runpy, sys
import airflow.sdk

def refuse(event, *arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "Airflow"):
        print(f"{event} is read while the file is parsed: {arguments}", file=sys.stderr, flush=True)
        os._exit(1)

for reader in (airflow.sdk.Variable, airflow.sdk.Connection):
    reader.get = lambda *key, **options: refuse("Airflow", key)
airflow.sdk.BaseHook.get_connection = lambda *key: refuse("Airflow", key)
sys.addaudithook(refuse)
runpy.run_path(sys.argv[1])
"""


def name(file: Path) -> str:
    return file.stem


def dags_of(file: Path) -> list[DAG]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(file))
    assert not bag.import_errors
    return list(bag.dags.values())


def parse_offline(file: Path, project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PARSE_OFFLINE, str(file)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def parts_of_include(file: Path) -> set[str]:
    """The parts of include/ that the file imports or reads, as its docstring should name them."""
    modules = {
        node.module
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("include")
    }
    paths = {module.replace(".", "/") for module in modules}
    paths |= {f"include/{name}" for name in re.findall(r'"include" / "(\w+)"', file.read_text())}
    return {f"{path}.py" if (PROJECT / f"{path}.py").exists() else f"{path}/" for path in paths}


def copied_with(file: Path) -> set[str]:
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    line = re.search(r"\*\*Copy with\*\* (.+)", docstring)
    return set(line[1].split(", ")) if line else set()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_file_is_named_as_its_dag_and_says_what_it_does(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text()), clean=False)
    dags = dags_of(file)

    assert {dag.dag_id for dag in dags} == SEVERAL.get(file.stem, {file.stem})
    assert docstring is not None
    assert {dag.doc_md for dag in dags} == {docstring}
    for words in ("### ", "**Needs**", "**To use it elsewhere**"):
        assert words in docstring


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_dag_has_an_owner_tags_and_retries(file: Path) -> None:
    for dag in dags_of(file):
        assert {"dbt Cloud", "dbt Core"} & set(dag.tags)
        assert dag.catchup is False
        assert dag.max_active_runs == 1 or dag.dag_id in SEVERAL_AT_ONCE
        for task in dag.tasks:
            assert task.retries >= 2, task.task_id
            assert task.owner not in ("airflow", ""), task.task_id
            assert task.task_type != "EmptyOperator"


@pytest.mark.parametrize(
    "reading",
    [
        "from airflow.sdk import Variable; Variable.get('schema', default=None)",
        "from airflow.sdk import BaseHook; BaseHook.get_connection('dbt_cloud_default')",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
    ],
)
def test_reading_while_parsing_would_be_seen(reading: str, tmp_path: Path) -> None:
    file = tmp_path / "reads.py"
    file.write_text(reading)

    assert "while the file is parsed" in parse_offline(file, tmp_path).stderr


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_file_copied_with_what_it_names_parses_without_reading_anything(
    file: Path, tmp_path: Path
) -> None:
    assert copied_with(file) == parts_of_include(file)
    (tmp_path / "dags").mkdir()
    copy = shutil.copy(file, tmp_path / "dags")
    for path in copied_with(file):
        source, target = PROJECT / path, tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)

    parsed = parse_offline(Path(copy), tmp_path)

    assert parsed.returncode == 0, parsed.stderr


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_file_can_be_read_in_one_go(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_LINES
