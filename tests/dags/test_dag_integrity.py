"""Tests of the rules for Dags: see "Eleven habits" in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from include.eject.dag_file import DagFile
from tests.matrix.bare_project import copy_dag

if TYPE_CHECKING:
    from airflow.sdk import DAG

PROJECT = Path(__file__).parents[2]
FILES = sorted((PROJECT / "dags").glob("*.py"))
PLUGINS = sorted((PROJECT / "plugins").glob("*.py"))
MAX_LINES = 110
SEVERAL = {"hourly_and_daily_dbt_cloud_jobs": {"hourly_dbt_cloud_job", "daily_dbt_cloud_job"}}
# Their Dag runs keep their dbt Cloud runs separate.
SEVERAL_AT_ONCE = {
    "backfill_dbt_cloud_job",
    "check_dbt_pull_request",
    "run_dbt_cloud_job_exactly_once",
}

# Runs Dag files as scripts, each in a child of its own: importing Airflow and what many of the
# files import takes seconds.
# Reading from a network, database or Variable ends the child, and not by an exception, which
# could be caught and forgotten.
PARSE_OFFLINE = """
import json, os, runpy, sys, traceback
import airflow.providers.dbt.cloud.operators.dbt, airflow.sdk
import cosmos, duckdb, fastapi, sqlalchemy.orm

def refuse(event, *arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "Airflow"):
        print(f"{event} is read while the file is parsed: {arguments}", file=sys.stderr, flush=True)
        os._exit(1)

def parse(file, project, output):
    output = os.open(output, os.O_CREAT | os.O_WRONLY)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.chdir(project)
    sys.path.insert(0, project)
    sys.addaudithook(refuse)
    runpy.run_path(file)

for reader in (airflow.sdk.Variable, airflow.sdk.Connection):
    reader.get = lambda *key, **options: refuse("Airflow", key)
airflow.sdk.BaseHook.get_connection = lambda *key: refuse("Airflow", key)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            parse(*json.loads(line))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""

# Parses a file in a project's folder; returns success and output.
ParseOffline = Callable[[Path, Path], tuple[bool, str]]


@pytest.fixture(scope="module")
def parse_offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ParseOffline]:
    command = [sys.executable, "-c", PARSE_OFFLINE]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path_factory.mktemp("other"),
        text=True,
    ) as parser:

        def parse(file: Path, project: Path) -> tuple[bool, str]:
            assert parser.stdin
            assert parser.stdout
            output = project / "output.txt"
            print(json.dumps([str(file), str(project), str(output)]), file=parser.stdin, flush=True)
            return int(parser.stdout.readline()) == 0, output.read_text()

        yield parse


def name(file: Path) -> str:
    return file.stem


@cache
def dags_of(file: Path) -> list[DAG]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(file))
    assert not bag.import_errors
    return list(bag.dags.values())


def what_it_needs(file: Path) -> set[str]:
    """Return the files and folders that the Dag file needs, as in its docstring."""
    modules = {
        node.module
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("include")
    }
    folders = {module.split(".")[1] for module in modules}
    folders |= set(re.findall(r'"include" / "(\w+)"', file.read_text()))
    folders |= set(re.findall(r"parents\[1\]\}/include/(\w+)", file.read_text()))
    files = {plugin for plugin in PLUGINS if f'"{file.stem}"' in plugin.read_text()}
    if "include.dbt_cloud.events" in modules:
        files.add(PROJECT / "plugins" / "receive_dbt_cloud_webhooks.py")
    if "lineage" in folders:
        files.add(PROJECT / "dags" / "write_lineage.py")
    return {f"include/{folder}/" for folder in folders} | {
        str(needed.relative_to(PROJECT)) for needed in files - {file}
    }


@pytest.mark.parametrize("file", FILES, ids=name)
def test_dag_file_has_the_name_of_its_dag_and_a_complete_docstring(file: Path) -> None:
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
            assert (task.retries or 0) >= 2, task.task_id
            assert task.owner not in ("airflow", ""), task.task_id
            assert task.task_type != "EmptyOperator"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_dbt_cloud_calls_use_the_connection_constant(file: Path) -> None:
    connects = re.compile(r"(DbtCloud\w*|RunJob|FreshSources)(Hook|Operator|Sensor)$|\.report_\w+$")
    for line in re.findall(r"^DBT_CLOUD_CONN_ID = .+", file.read_text(), re.MULTILINE):
        assert line.endswith("  # its login is your account id")
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and connects.search(ast.unparse(node.func)):
            assert "DBT_CLOUD_CONN_ID" in ast.unparse(node)


@cache
def words_in_e2e_tests() -> set[str]:
    """Return all strings in the code of end-to-end tests."""
    trees = [ast.parse(test.read_text()) for test in (PROJECT / "tests" / "e2e").glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {str(node.value) for node in nodes if isinstance(node, ast.Constant)}


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_dag_is_run_by_an_end_to_end_test(file: Path) -> None:
    assert {dag.dag_id for dag in dags_of(file)} <= words_in_e2e_tests()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_pool_is_in_the_settings_and_under_needs(file: Path) -> None:
    # A task whose pool does not exist stays scheduled forever.
    settings = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text())["airflow"]
    pools = {task.pool for dag in dags_of(file) for task in dag.tasks} - {"default_pool"}

    assert pools <= {pool["pool_name"] for pool in settings["pools"]}
    for pool in pools:
        assert re.search(rf"\*\*Needs\*\*[^*]*the pool `{pool}`", file.read_text())


@pytest.mark.parametrize(
    "reading",
    [
        "from airflow.sdk import Variable; Variable.get('schema', default=None)",
        "from airflow.sdk import BaseHook; BaseHook.get_connection('dbt_cloud_default')",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
    ],
)
def test_parse_offline_detects_reads_during_parsing(
    parse_offline: ParseOffline, reading: str, tmp_path: Path
) -> None:
    file = tmp_path / "reads.py"
    file.write_text(reading)

    parsed, output = parse_offline(file, tmp_path)

    assert not parsed
    assert "while the file is parsed" in output


@pytest.mark.parametrize("file", FILES, ids=name)
def test_dag_file_parses_offline_with_only_the_files_it_names(
    parse_offline: ParseOffline, file: Path, tmp_path: Path
) -> None:
    copied_with = DagFile(file).copied_with
    assert copied_with == what_it_needs(file)
    copy_dag(DagFile(file), tmp_path)

    parsed, output = parse_offline(tmp_path / "dags" / file.name, tmp_path)

    assert parsed, output


# dbt or DuckDB reports these in the task's log, or the task creates them.
NEEDED_LATER = {
    ("extract_load_transform", "include/raw_data/"),
    ("gate_on_fresh_sources", "include/raw_data/"),
    ("run_dbt_core_in_one_task", "include/jaffle_shop/"),
    ("write_lineage", "include/lineage/"),
}
LEFT_OUT = [
    (file, place)
    for file in FILES
    for place in sorted(DagFile(file).copied_with)
    if place.startswith("include/") and (file.stem, place) not in NEEDED_LATER
]


@pytest.mark.parametrize(
    ("file", "place"), LEFT_OUT, ids=[f"{file.stem}-{place}" for file, place in LEFT_OUT]
)
def test_dag_file_without_a_needed_folder_fails_and_names_it(
    parse_offline: ParseOffline, file: Path, place: str, tmp_path: Path
) -> None:
    copy_dag(DagFile(file), tmp_path)
    shutil.rmtree(tmp_path / place)

    parsed, output = parse_offline(tmp_path / "dags" / file.name, tmp_path)

    assert not parsed
    module, path = f"No module named '{place.strip('/').replace('/', '.')}'", f"{tmp_path / place}/"
    assert any(words in output.splitlines()[-1] for words in (module, path)), output


@pytest.mark.parametrize("file", sorted({file for file, _ in LEFT_OUT}), ids=name)
def test_dag_file_without_include_fails_with_a_documented_error(
    parse_offline: ParseOffline, file: Path, tmp_path: Path
) -> None:
    shutil.copytree(PROJECT / "dags", tmp_path / "dags")

    parsed, output = parse_offline(tmp_path / "dags" / file.name, tmp_path)

    assert not parsed
    sentence = output.splitlines()[-1].partition(": ")[2].partition(str(tmp_path))[0]
    for page in ("troubleshooting.md", "astro.md"):
        assert f"`{sentence}" in (PROJECT / "docs" / page).read_text()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_dag_file_has_at_most_max_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_LINES
