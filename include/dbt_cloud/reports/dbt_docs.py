"""Store dbt's documentation of a project, as one file that needs no server.

``FOLDER/docs/PROJECT_ID/RUN_ID.html`` equals the output of ``dbt docs generate --static``: dbt's
page with manifest and catalog. Only the file of the newest run is kept. ``FOLDER`` belongs to one
account.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from ..api.artifacts import command_of, read_artifact
from ..api.client import DbtCloudClient
from ..api.commands import verb_of
from ..api.responses import NOT_FOUND, DbtCloudRefusedError
from .history import delete, numbers_in, write

log = logging.getLogger(__name__)
DOCS_FOLDER = "docs"
PLACES = {  # in dbt's page
    "manifest.json": '"MANIFEST.JSON INLINE DATA"',
    "catalog.json": '"CATALOG.JSON INLINE DATA"',
}


def keep_docs(client: DbtCloudClient, run: dict[str, Any], history: Any) -> None:
    """Store the run's documentation, if any; ``run`` must include its steps."""
    folder = history / DOCS_FOLDER / str(run["project_id"])
    others = [other for other in numbers_in(folder, ".html") if other != run["id"]]
    if not run.get("has_docs_generated") or any(other > run["id"] for other in others):
        return
    if page := docs_of(client, run):
        write(folder / f"{run['id']}.html", page)
        for other in others:
            delete(folder / f"{other}.html")


def docs_of(client: DbtCloudClient, run: dict[str, Any]) -> str | None:
    """Return the page with its data; None if an artifact is missing."""
    commands = {step["index"]: command_of(step) or "" for step in run["run_steps"] or ()}
    steps = [index for index, command in commands.items() if verb_of(command) == "docs"]
    if not steps:
        return None
    try:
        page = client.text(f"runs/{run['id']}/artifacts/index.html", step=steps[-1])
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        return None
    for name, place in PLACES.items():
        artifact = read_artifact(client, run["id"], name, steps[-1])
        if artifact is None:
            return None
        page = page.replace(place, in_script(artifact))
    return page


def in_script(artifact: Any) -> str:
    """Return JSON in which ``</script>`` is escaped."""
    return json.dumps(artifact).replace("<", "\\u003c")


def newest_docs(history: Any, project_id: int) -> Any:
    """Return the path of the newest page; None if none is stored."""
    return next(iter(docs_in(history, project_id)), None)


def read_newest_docs(history: Any, project_id: int) -> bytes | None:
    """Return the newest readable page; None if there is none."""
    for file in docs_in(history, project_id):
        try:
            page: bytes = file.read_bytes()
            return page
        except OSError as error:
            log.warning("Could not read the documentation %s (%r): delete it.", file, error)
    return None


def docs_in(history: Any, project_id: int) -> list[Any]:
    folder = history / DOCS_FOLDER / str(project_id)
    return [folder / f"{run_id}.html" for run_id in numbers_in(folder, ".html")]


def documented_projects(history: Any) -> list[int]:
    return numbers_in(history / DOCS_FOLDER, "")
