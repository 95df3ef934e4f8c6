"""What the import contracts in pyproject.toml cannot state: names, sizes, private imports."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MAX_LINES = 40  # of a function


def modules(package: str) -> list[Path]:
    return sorted((PROJECT / package).rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Yield the imports of a file, anywhere in it, as dotted names from the project's root."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = file.relative_to(PROJECT).parts[: -node.level] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def name(file: Path) -> str:
    return file.relative_to(PROJECT).as_posix()


UNIT_TESTS = [
    file.relative_to(PROJECT / "tests/unit")
    for file in sorted((PROJECT / "tests/unit").rglob("test_*.py"))
    if file != Path(__file__)
]


@pytest.mark.parametrize("file", UNIT_TESTS, ids=str)
def test_unit_test_file_mirrors_the_path_of_its_module(file: Path) -> None:
    folder = PROJECT / "include" / file.parent
    subject = file.stem.removeprefix("test_").removesuffix("_search")
    names = (f"{subject}.py", f"__{subject}__.py", subject)

    assert any((folder / name).exists() for name in names)


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Of a function without those inside it, such as the tasks of a Dag."""
    inner = [node for node in ast.walk(function) if isinstance(node, FUNCTIONS)]
    lines = {line for node in inner if node is not function for line in lines_of(node)}
    return len(set(lines_of(function)) - lines)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    return range(function.lineno, (function.end_lineno or 0) + 1)


@pytest.mark.parametrize("folder", ["benchmarks", "dags", "include", "plugins", "tests"])
def test_function_has_at_most_max_lines(folder: str) -> None:
    long = [
        f"{name(file)}, {node.name}: {own_lines(node)} lines"
        for file in modules(folder)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, FUNCTIONS) and own_lines(node) > MAX_LINES
    ]

    assert not long


PARTS = {"events", "models", "notifications", "page", "reports"}
PUBLIC = re.compile(
    r"airflow\.sdk\.[A-Z]\w+"
    r"|airflow\.providers\.dbt\.cloud\.(hooks|operators)\.dbt\.Dbt\w+"
    r"|airflow\.providers\.(standard|http|slack|smtp)\..+"
    r"|airflow\.providers\.openlineage\.extractors\.BaseExtractor"
)


@pytest.mark.parametrize("file", modules("include/dbt_cloud"), ids=name)
def test_library_module_imports_relatively_and_only_public_airflow(file: Path) -> None:
    part = file.relative_to(PROJECT / "include/dbt_cloud").parts[0]
    text, used = file.read_text(), set(imports(file))

    assert "import include" not in text
    assert "from include" not in text
    assert all(found.startswith("include.dbt_cloud") for found in used if "include" in found)
    if part != "airflow":
        taken = {found for found in used if found.startswith("airflow.")}
        assert not {found for found in taken if not PUBLIC.fullmatch(found)}


def test_library_core_imports_from_another_package(tmp_path: Path) -> None:
    parts = shutil.ignore_patterns(*PARTS, "__pycache__")
    shutil.copytree(PROJECT / "include/dbt_cloud", tmp_path / "acme" / "transform", ignore=parts)
    program = (
        "from acme.transform import DbtCloudRunJobExactlyOnceOperator\n"
        "from acme.transform.freshness import WaitForFreshSourcesOperator\n"
        "from acme.transform.run.trigger import DbtCloudRunTrigger\n"
        "print(DbtCloudRunTrigger(conn_id='a', account_id=1, run_id=1, poll_interval=1,"
        " end_time=1, execution_deadline=None, max_silence=1).serialize()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.stdout.strip() == "acme.transform.run.trigger.DbtCloudRunTrigger", done.stderr


@pytest.mark.parametrize("file", modules("include/local_airflow"), ids=name)
def test_only_the_launchers_airflow_folder_imports_private_airflow_code(file: Path) -> None:
    taken = {found for found in imports(file) if found.startswith("airflow.")}

    if file.parent.name != "airflow":
        assert not {found for found in taken if not PUBLIC.fullmatch(found)}
