"""The requirements in a Dag file's docstring: Airflow version, packages and folders."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]
PROVIDER = "apache-airflow-providers-dbt-cloud"
DBT_CLOUD = "dbt_cloud_default"  # the connection that needs the provider
NAMED_FILE = re.compile(r"\binclude/[\w/]+\.\w+")
OLDEST = (3, 1)  # the minimum Airflow of a Dag whose docstring names none


@dataclass(frozen=True)
class DagFile:
    """A file in dags/, described by its docstring, which tests compare with the code."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def docstring(self) -> str:
        return ast.get_docstring(ast.parse(self.path.read_text())) or ""

    @property
    def copied_with(self) -> frozenset[str]:
        """Return paths such as ``include/dbt_cloud/`` and ``dags/write_lineage.py``."""
        line = re.search(r"\*\*Copy with\*\* (.+)", self.docstring)
        return frozenset(line[1].split(", ")) if line else frozenset()

    @property
    def named_files(self) -> frozenset[str]:
        """Return the files in ``include/`` that the docstring names."""
        return frozenset(NAMED_FILE.findall(self.docstring))

    @property
    def to_set(self) -> frozenset[str]:
        """Return the constants that another project has to set, such as ``JOB_ID``."""
        section = self.docstring.partition("**To use it elsewhere**")[2].partition("**Copy with**")[
            0
        ]
        return frozenset(re.findall(r"`(\w+)`", section))

    @property
    def airflow(self) -> tuple[int, ...]:
        """Return the minimum Airflow version."""
        required = re.search(r"\bAirflow (\d+)\.(\d+)", self._needs)
        return tuple(map(int, required.groups())) if required else OLDEST

    @property
    def connections(self) -> frozenset[str]:
        """Return the required connections, such as ``dbt_cloud_default``."""
        return frozenset(re.findall(r"`(\w+_default)`", self._needs))

    def packages(self) -> frozenset[str]:
        """Return the required packages of requirements.txt; dbt Cloud needs the provider."""
        named = {name for name in required_packages() if re.search(rf"\b{name}\b", self._needs)}
        if DBT_CLOUD in self.connections:
            named.add(PROVIDER)
        return frozenset(named)

    @property
    def _needs(self) -> str:
        return self.docstring.partition("**Needs**")[2].partition("\n\n")[0]


def dag_files(root: Path = ROOT) -> list[DagFile]:
    return [DagFile(path) for path in sorted((root / "dags").glob("*.py"))]


def named_dags(names: Iterable[str], root: Path = ROOT) -> list[DagFile]:
    """Return the Dag files of these names; raise ``ValueError`` if one does not exist."""
    every = {dag.name: dag for dag in dag_files(root)}
    if unknown := sorted(set(names) - every.keys()):
        raise ValueError(f"Dag {unknown[0]} does not exist. Dags: {', '.join(every)}.")
    return [every[name] for name in sorted(set(names))]


def required_packages(root: Path = ROOT) -> list[str]:
    """Return the names of the packages in requirements.txt."""
    text = (root / "requirements.txt").read_text()
    return re.findall(r"^([a-z0-9][\w.-]*)", text, re.MULTILINE)
