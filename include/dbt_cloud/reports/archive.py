"""Store the artifacts and full logs of each step, which dbt Cloud deletes after some time."""

from __future__ import annotations

import json
from typing import Any

from ..api.artifacts import command_of, read_artifact
from ..api.client import DbtCloudClient
from .history import write

# https://docs.getdbt.com/reference/artifacts/dbt-artifacts
ARTIFACTS = ("run_results.json", "manifest.json", "catalog.json", "sources.json")


def archive(client: DbtCloudClient, run: dict[str, Any], folder: Any) -> list[str]:
    """Write the files to ``folder``, an ObjectStoragePath; return their names.

    ``run`` must include its steps and debug logs. A step's ``log.txt`` is dbt's output, its
    ``debug_log.txt`` the debug log.
    """
    archived = []
    for step in run["run_steps"] or ():
        place = f"step-{step['index']}"
        files = {"log.txt": step.get("logs"), "debug_log.txt": step.get("debug_logs")}
        for name in ARTIFACTS if command_of(step) else ():
            artifact = read_artifact(client, run["id"], name, step["index"])
            files[name] = json.dumps(artifact) if artifact else None
        for name, text in files.items():
            if text:
                write(folder / place / name, text)
                archived.append(f"{place}/{name}")
    return archived
