"""dbt kept warm in a process of its own: starting it anew would take seconds for each command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "include" / "jaffle_shop"
PYTHON = ROOT / "dbt_venv" / "bin" / "python"

# A command a line in, "done" a line out; what dbt prints goes to standard error.
PROGRAM = """
import contextlib, json, sys
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

runner = dbtRunner()
for line in sys.stdin:
    with contextlib.redirect_stdout(sys.stderr):
        runner.invoke(json.loads(line))
    DuckDBConnectionManager.close_all_connections()
    print("done", flush=True)
"""

Statuses = dict[str, str]  # of each node in dbt's results, by name
RunDbt = Callable[..., Statuses]


@contextmanager
def warm_dbt(warehouse: Path, target: Path) -> Iterator[RunDbt]:
    """Yield a function that runs one dbt command on the jaffle shop's project.

    It takes the command's words and returns the status of each node that the command ran. What
    dbt writes lands in the folder ``target``.
    """
    target.mkdir(exist_ok=True)
    output = target / "output.txt"
    options = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    options += ["--target-path", str(target), "--log-path", str(target)]

    def run(*command: str) -> Statuses:
        results = target / ("sources.json" if command[0] == "source" else "run_results.json")
        results.unlink(missing_ok=True)
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps([*command, *options]) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n", output.read_text()
        assert results.exists(), output.read_text()
        nodes = json.loads(results.read_text())["results"]
        return {_name(node["unique_id"]): node["status"] for node in nodes}

    with (
        output.open("w") as errors,
        subprocess.Popen(
            [PYTHON, "-c", PROGRAM],
            env={**os.environ, "WAREHOUSE_PATH": str(warehouse)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        yield run
        if process.stdin:
            process.stdin.close()


def _name(unique_id: str) -> str:
    """Return the name in ``model.jaffle_shop.orders`` or ``test.jaffle_shop.unique_x.1a2b3c``."""
    kind, _, *names = unique_id.split(".")
    return names[0] if kind == "test" else names[-1]
