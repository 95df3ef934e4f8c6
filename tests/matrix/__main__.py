"""``make matrix``: every Dag in a bare project of its own, on each Airflow that it promises.

Each Dag is parsed with only what its docstring names; one that needs nothing but the provider also
runs, by ``airflow dags test`` on a local dbt Cloud of this checkout. Each Airflow has a lane of its
own, so that runs of one job do not meet.
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
from include.local_servers.certificates import ensure_certificates
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
from tests.running_dbt_cloud import RunningDbtCloud

PROVIDER_VERSION = f"import importlib.metadata as m; print(m.version({PROVIDER!r}))"


@dataclass(frozen=True)
class Lane:
    """One Airflow, a folder for its projects, and the Dags to try there."""

    airflow: Airflow
    folder: Path
    dags: list[DagFile]

    def go(self) -> Column:
        """Try every Dag, one after the other."""
        authority = str(ensure_certificates(self.folder / "dbt_cloud").ca)
        with RunningDbtCloud(self.folder / "dbt_cloud") as dbt_cloud:
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
            said = f"{self.airflow.number}  {dag.name} {outcomes.get(dag.name, 'FAILS')}"
            print(f"{said} ({time.monotonic() - began:.0f} s)", flush=True)
        return Column(self.airflow.number, provider, outcomes, errors)


def outcome(project: BareProject, dag: DagFile, airflow: Airflow) -> str:
    """What the docstring promises of this Airflow; raise RuntimeError if it is not so."""
    promised = expected(dag, airflow.minor)
    dags, errors = project.parse()
    if promised == too_old(dag):
        sentence = f"needs apache-airflow {version(dag.airflow)} or newer, here is {airflow.number}"
        if not any(sentence in error.splitlines()[-1] for error in errors):
            raise RuntimeError(f"It does not say that it {sentence}: {errors or dags}")
        return promised
    if errors or not dags:
        raise RuntimeError("\n".join(errors) or "There is no Dag in it.")
    project.load_plugins()
    if promised == PARSED:
        return PARSED
    for dag_id in dags:
        states = project.test_dag(dag_id)
        if set(states.values()) != {"success"}:
            raise RuntimeError(f"It ran, and these are the states: {states}")
    return SUCCEEDED


def main() -> int:
    """Try the named Dags, or all; write the table if all is as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("dags", nargs="*", metavar="DAG")
    names = parser.parse_args().dags
    try:
        dags = named_dags(names) if names else dag_files()
    except ValueError as error:
        parser.error(str(error))
    with (
        tempfile.TemporaryDirectory(prefix="matrix-") as folder,
        ProcessPoolExecutor(len(AIRFLOWS)) as lanes,  # threads would not hear of Ctrl-C
    ):
        lane = [Lane(airflow, Path(folder) / airflow.number, dags) for airflow in AIRFLOWS]
        columns = list(lanes.map(Lane.go, lane))
    for column in columns:
        for dag, what in column.errors.items():
            print(f"\nAirflow {column.airflow}, {dag}:\n{what}", file=sys.stderr)
    if any(column.errors for column in columns):
        return 1
    CONTRIBUTING.write_text(with_table(CONTRIBUTING.read_text(), columns))
    print("All is as the docstrings say; the table in CONTRIBUTING.md is written anew.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
