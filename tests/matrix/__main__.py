"""``make matrix``: every Dag in a separate bare project, on each Airflow that it supports.

Each Dag is parsed with only the packages in its docstring; a Dag that needs only the provider also
runs, with ``airflow dags test`` on a local dbt Cloud of this checkout. Each Airflow has its own
folder and server, so that runs of one job do not meet.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from include.eject.dag_file import PROVIDER, DagFile, dag_files, named_dags
from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.matrix.airflows import AIRFLOWS, Airflow
from tests.matrix.bare_project import BareProject
from tests.matrix.results import (
    CONTRIBUTING,
    PARSED,
    SUCCEEDED,
    Column,
    expected,
    too_old,
    version,
    with_table,
)

PROVIDER_VERSION = f"import importlib.metadata as m; print(m.version({PROVIDER!r}))"


@dataclass(frozen=True)
class Lane:
    """One Airflow, a folder for its projects, and the Dags to test there."""

    airflow: Airflow
    folder: Path
    dags: list[DagFile]

    def test_dags(self) -> Column:
        """Test every Dag, one after the other."""
        authority = str(ensure_certificates(self.folder / "dbt_cloud").ca)
        with LocalDbtCloud(self.folder / "dbt_cloud") as dbt_cloud:
            variables = {
                "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": dbt_cloud.connection,
                "REQUESTS_CA_BUNDLE": authority,
                "SSL_CERT_FILE": authority,
            }
            return self._try_all(variables)

    def _try_all(self, variables: dict[str, str]) -> Column:
        python = self.airflow.python(frozenset({PROVIDER}))
        empty = BareProject(self.folder / "empty", python, variables)
        empty.folder.mkdir()
        empty.run("airflow", "db", "migrate")
        provider = empty.run("python", "-c", PROVIDER_VERSION).strip()
        outcomes, errors = {}, {}
        for dag in self.dags:
            began = time.monotonic()
            python = self.airflow.python(dag.packages())
            project = BareProject(self.folder / dag.name, python, variables)
            project.copy(dag, empty.database)
            try:
                outcomes[dag.name] = outcome(project, dag, self.airflow)
            except RuntimeError as error:
                errors[dag.name] = str(error)
            result = f"{self.airflow.number}  {dag.name} {outcomes.get(dag.name, 'FAILS')}"
            print(f"{result} ({time.monotonic() - began:.0f} s)", flush=True)
        return Column(self.airflow.number, provider, outcomes, errors)


def outcome(project: BareProject, dag: DagFile, airflow: Airflow) -> str:
    """Return the outcome that the docstring promises; raise RuntimeError for any other outcome."""
    promised = expected(dag, airflow.minor)
    dags, errors = project.parse()
    if promised == too_old(dag):
        sentence = f"needs apache-airflow {version(dag.airflow)} or newer, here is {airflow.number}"
        if not any(sentence in error.splitlines()[-1] for error in errors):
            raise RuntimeError(f"Expected the error '{sentence}', got: {errors or dags}")
        return promised
    if errors or not dags:
        raise RuntimeError("\n".join(errors) or "The file contains no Dag.")
    project.load_plugins()
    if promised == PARSED:
        return PARSED
    for dag_id in dags:
        states = project.test_dag(dag_id)
        if set(states.values()) != {"success"}:
            raise RuntimeError(f"Not all states are success: {states}")
    return SUCCEEDED


def main() -> int:
    """Test the given Dags, or all; update the table if all results are as expected."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("dags", nargs="*", metavar="DAG")
    names = parser.parse_args().dags
    try:
        dags = named_dags(names) if names else dag_files()
    except ValueError as error:
        parser.error(str(error))
    with (
        tempfile.TemporaryDirectory(prefix="matrix-") as folder,
        ProcessPoolExecutor(len(AIRFLOWS)) as lanes,  # threads would ignore Ctrl-C
    ):
        lane = [Lane(airflow, Path(folder) / airflow.number, dags) for airflow in AIRFLOWS]
        columns = list(lanes.map(Lane.test_dags, lane))
    for column in columns:
        for dag, what in column.errors.items():
            print(f"\nAirflow {column.airflow}, {dag}:\n{what}", file=sys.stderr)
    if any(column.errors for column in columns):
        return 1
    CONTRIBUTING.write_text(with_table(CONTRIBUTING.read_text(), columns))
    print("All results match the docstrings; the table in CONTRIBUTING.md is updated.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
