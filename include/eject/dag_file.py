"""What a Dag file says of itself: which Airflow, packages and folders it needs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]
PROVIDER = "apache-airflow-providers-dbt-cloud"
DBT_CLOUD = "dbt_cloud_default"  # the connection that it goes with
NAMED_FILE = re.compile(r"\binclude/[\w/]+\.\w+")
OLDEST = (3, 1)  # the Airflow that does for a Dag whose docstring asks for no newer one


@dataclass(frozen=True)
class DagFile:
    """A file in dags/; it is known by its docstring, which tests compare with its code."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def docstring(self) -> str:
        return ast.get_docstring(ast.parse(self.path.read_text())) or ""

    @property
    def copied_with(self) -> frozenset[str]:
        """Folders and files such as ``include/dbt_cloud/`` and ``dags/write_lineage.py``."""
        line = re.search(r"\*\*Copy with\*\* (.+)", self.docstring)
        return frozenset(line[1].split(", ")) if line else frozenset()

    @property
    def named_files(self) -> frozenset[str]:
        """Files below ``include/`` that the docstring names."""
        return frozenset(NAMED_FILE.findall(self.docstring))

    @property
    def to_set(self) -> frozenset[str]:
        """Names of the constants that another project replaces, such as ``JOB_ID``."""
        told = self.docstring.partition("**To use it elsewhere**")[2].partition("**Copy with**")[0]
        return frozenset(re.findall(r"`(\w+)`", told))

    @property
    def airflow(self) -> tuple[int, ...]:
        """The oldest Airflow that will do."""
        asked = re.search(r"\bAirflow (\d+)\.(\d+)", self._needs)
        return tuple(map(int, asked.groups())) if asked else OLDEST

    @property
    def connections(self) -> frozenset[str]:
        """Those that it cannot do without, such as ``dbt_cloud_default``."""
        return frozenset(re.findall(r"`(\w+_default)`", self._needs))

    def packages(self) -> frozenset[str]:
        """Those of requirements.txt that it needs; the provider goes with the connection."""
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
    """Raises ValueError for a name that no Dag file has."""
    every = {dag.name: dag for dag in dag_files(root)}
    if unknown := sorted(set(names) - every.keys()):
        raise ValueError(f"There is no Dag {unknown[0]}. The Dags are: {', '.join(every)}.")
    return [every[name] for name in sorted(set(names))]


def required_packages(root: Path = ROOT) -> list[str]:
    """Names of the packages in requirements.txt."""
    text = (root / "requirements.txt").read_text()
    return re.findall(r"^([a-z0-9][\w.-]*)", text, re.MULTILINE)
