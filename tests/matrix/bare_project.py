"""A project with one copied Dag and the files that its docstring lists."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from include.eject.dag_file import DagFile

PROJECT = Path(__file__).parents[2]
PARSE = """
import json, os
from airflow.models import DagBag
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
print(json.dumps({"dags": list(bag.dags), "errors": list(bag.import_errors.values())}))
"""
OURS = ("AIRFLOW", "LOCAL_DBT_CLOUD", "PYTHON", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
STEP_SECONDS = 600  # time limit of one step, on a busy machine


@dataclass(frozen=True)
class BareProject:
    """The folder, the Python of its environment, and the connection's variables."""

    folder: Path
    python: Path
    variables: dict[str, str]

    def copy(self, dag: DagFile, database: Path) -> None:
        copy_dag(dag, self.folder)
        shutil.copy(database, self.database)

    @property
    def database(self) -> Path:
        return self.folder / "airflow.db"

    def parse(self) -> tuple[list[str], list[str]]:
        """Return the ids of the Dags, and the errors of files that do not import."""
        found = json.loads(self.run("python", "-c", PARSE).splitlines()[-1])
        return found["dags"], found["errors"]

    def load_plugins(self) -> None:
        """Raise RuntimeError unless Airflow loads every plugin file and mounts its apps."""
        files = {file.stem for file in self.folder.glob("plugins/*.py")}
        output = self.run("airflow", "plugins", "--output", "json") if files else "[]"
        last = output.splitlines()[-1]  # without plugins it is a sentence
        loaded = {plugin["name"] for plugin in json.loads(last)} if last[0] == "[" else set()
        if files != loaded:
            raise RuntimeError(
                f"Airflow loads {loaded or 'none'} of the plugins {files}:\n{output}"
            )

    def test_dag(self, dag_id: str) -> dict[str, str]:
        """Run the Dag once; return the states of its Dag run (by Dag id) and of its tasks."""
        self.run("airflow", "dags", "test", dag_id)
        with closing(sqlite3.connect(self.database)) as database:
            states = "select dag_id, state from dag_run union select task_id, state"
            return dict(database.execute(f"{states} from task_instance").fetchall())

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment; raise RuntimeError with its output if it fails."""
        outer = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        done = subprocess.run(
            [self.python.parent / program, *arguments],
            cwd=self.folder,
            env=outer | self.airflow | self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"{program} {arguments[:3]} failed:\n{done.stdout[-4000:]}")
        return done.stdout

    @property
    def airflow(self) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}",
            "DO_NOT_TRACK": "1",
            "PYTHONPATH": str(self.folder),
        }


def copy_dag(dag: DagFile, project: Path) -> None:
    """Copy the file, and the files that its docstring lists."""
    for place in [f"dags/{dag.path.name}", *dag.copied_with]:
        source, target = PROJECT / place, project / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
