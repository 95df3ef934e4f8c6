"""The constants to set in the new project, with file and line."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from include.eject.plan import LINEAGE, Plan


def places_to_set(plan: Plan) -> list[str]:
    """Return lines such as ``dags/run_dbt_cloud_job.py:22: JOB_ID = 65767``.

    The section "To use it elsewhere" of each Dag's docstring names them.
    """
    found = {
        (file, line): text
        for dag in plan.dags
        for file in (f"dags/{dag.path.name}", *sorted(dag.copied_with))
        if file.endswith(".py")
        for line, text in constants(plan.text(file), dag.to_set)
    }
    lineage = [file for file in plan.kept if file.startswith(LINEAGE)]
    return [f"{file}:{line}: {text}" for (file, line), text in sorted(found.items())] + [
        f"{file}: run the Dag write_lineage to fill it" for file in lineage
    ]


def constants(text: str, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield the line number and first line of each constant with one of these names."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else ()
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        if names & {ast.unparse(target) for target in targets}:
            yield node.lineno, lines[node.lineno - 1]
