"""dbt's own documentation of a project, as one file that needs no server.

``FOLDER/docs/PROJECT_ID/RUN_ID.html`` is what ``dbt docs generate --static`` writes: dbt's page
with manifest and catalog in it. Only that of the newest run is kept.
"""

from __future__ import annotations

import json
from typing import Any

from ..artifacts import command_of, read_artifact
from ..client import DbtCloudClient
from ..responses import DbtCloudRefusedError
from .history import numbers_in, write

FOLDER = "docs"
PLACES = {  # in dbt's page
    "manifest.json": '"MANIFEST.JSON INLINE DATA"',
    "catalog.json": '"CATALOG.JSON INLINE DATA"',
}


def keep_docs(client: DbtCloudClient, run: dict[str, Any], history: Any) -> None:
    """``run`` comes with its steps. One without documentation changes nothing."""
    folder = history / FOLDER / str(run["project_id"])
    others = numbers_in(folder, ".html")
    if not run["has_docs_generated"] or any(other >= run["id"] for other in others):
        return
    if page := docs_of(client, run):
        write(folder / f"{run['id']}.html", page)
        for other in others:
            (folder / f"{other}.html").unlink(missing_ok=True)


def docs_of(client: DbtCloudClient, run: dict[str, Any]) -> str | None:
    """None if the run has left no page, or not all that belongs into it."""
    commands = {step["index"]: command_of(step) or "" for step in run["run_steps"]}
    steps = [index for index, command in commands.items() if "docs generate" in command]
    try:
        page = client.text(f"runs/{run['id']}/artifacts/index.html", step=steps[-1])
    except (DbtCloudRefusedError, IndexError):
        return None
    for name, place in PLACES.items():
        artifact = read_artifact(client, run["id"], name, steps[-1])
        if artifact is None:
            return None
        page = page.replace(place, in_script(artifact))
    return page


def in_script(artifact: Any) -> str:
    """JSON that no ``</script>`` in somebody's description ends."""
    return json.dumps(artifact).replace("<", "\\u003c")


def newest_docs(history: Any, project_id: int) -> Any:
    """The path of the page; None if none is kept."""
    folder = history / FOLDER / str(project_id)
    runs = numbers_in(folder, ".html")
    return folder / f"{runs[0]}.html" if runs else None


def documented_projects(history: Any) -> list[int]:
    return numbers_in(history / FOLDER, "")
