"""Keeps what dbt Cloud will not keep for ever: the artifacts and the full logs of each step."""

from __future__ import annotations

import json
from typing import Any

from ..api.artifacts import command_of, read_artifact
from ..api.client import DbtCloudClient
from .history import write

# https://docs.getdbt.com/reference/artifacts/dbt-artifacts
ARTIFACTS = ("run_results.json", "manifest.json", "catalog.json", "sources.json")


def archive(client: DbtCloudClient, run: dict[str, Any], folder: Any) -> list[str]:
    """Returns the names of the files in ``folder``, an ObjectStoragePath.

    ``run`` comes with its steps and debug logs. A step's ``log.txt`` is what dbt prints, its
    ``debug_log.txt`` all that it did.
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
