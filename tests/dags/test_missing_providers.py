"""Tests of a project without the Fivetran and Census providers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]

# Airflow is imported once; a child removes the provider, which is irreversible.
COUNT_DAGS = """
import os, sys
from airflow.dag_processing.dagbag import DagBag  # loads the providers that are installed
for package in (None, "fivetran_provider_async", "airflow_provider_census"):
    if os.fork():
        assert os.wait()[1] == 0
        continue
    if package:
        sys.modules[package] = None  # as if it were not installed
    bag = DagBag(sys.argv[1])
    print(package, len(bag.dags), len(bag.import_errors), flush=True)
    os._exit(0)
"""


def test_dag_is_omitted_without_an_import_error_if_a_provider_is_missing() -> None:
    file = PROJECT / "dags" / "fivetran_dbt_cloud_census.py"
    counted = subprocess.run(
        [sys.executable, "-c", COUNT_DAGS, file],
        cwd=PROJECT,
        env={**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins")},
        capture_output=True,
        text=True,
    )

    lines = [line for line in counted.stdout.splitlines() if line.endswith(" 0")]
    assert lines == ["None 1 0", "fivetran_provider_async 0 0", "airflow_provider_census 0 0"], (
        counted.stderr
    )


def test_fivetran_host_plugin_loads_without_the_provider() -> None:
    plugin = PROJECT / "plugins" / "fivetran_host.py"
    script = "import sys; sys.modules['fivetran_provider_async'] = None; import runpy; "
    script += "runpy.run_path(sys.argv[1])"

    subprocess.run([sys.executable, "-c", script, plugin], check=True)
