"""``make run DAG=id``: run one Dag in this terminal, without a scheduler.

The exit status is 0 if the Dag run succeeded. A task that waits for a person's response never ends
here, because it needs the UI.
"""

from __future__ import annotations

import subprocess
import sys

from .environment import ROOT, airflow_environment


def main(dag_id: str) -> int:
    """Migrate Airflow's database, then run the Dag."""
    for command in (["db", "migrate"], ["dags", "test", dag_id]):
        airflow = [sys.executable, "-m", "airflow", *command]
        if code := subprocess.run(airflow, cwd=ROOT, env=airflow_environment()).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]) if sys.argv[1:2] else "Set the Dag: make run DAG=id")
