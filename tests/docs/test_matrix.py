"""The table that `make matrix` writes is of these Dags, these Airflows and these docstrings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.eject.dag_file import DagFile, dag_files
from tests.matrix.airflows import AIRFLOWS
from tests.matrix.bare_project import BareProject
from tests.matrix.results import CONTRIBUTING, Column, expected, version, with_table

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_matrix_table_matches_the_docstrings() -> None:
    text = CONTRIBUTING.read_text()
    [row] = re.findall(r"^\| dbt Cloud provider \| (.+) \|$", text, re.MULTILINE)
    providers = row.split(" | ")
    columns = [
        Column(
            airflow.number,
            provider,
            {dag.name: expected(dag, airflow.minor) for dag in dag_files()},
            errors={},
        )
        for airflow, provider in zip(AIRFLOWS, providers, strict=True)
    ]

    assert with_table(text, columns) == text, "make matrix"


def test_readme_lists_the_extra_settings_of_a_bare_project(
    tmp_path: Path,
) -> None:
    settings = BareProject(tmp_path, Path("python"), {}).airflow
    others = {name for name in settings if not name.startswith("AIRFLOW_")} - {"DO_NOT_TRACK"}
    section = README.partition("## Take one into your project")[2].partition("\n## ")[0]

    assert others
    assert others <= set(re.findall(r"`(\w+)`", section))


@pytest.mark.parametrize("dag", dag_files(), ids=lambda dag: dag.name)
def test_readme_names_the_airflow_version_that_a_docstring_requires(dag: DagFile) -> None:
    [row] = re.findall(rf"^\| \[{dag.name}\].+$", README, re.MULTILINE)
    oldest = min(airflow.minor for airflow in AIRFLOWS)

    named = re.findall(r"\(Airflow ([\d.]+)\) \| [^|]+ \|$", row)

    assert named == ([version(dag.airflow)] if dag.airflow > oldest else [])
