"""The assets of models, named as OpenLineage and Cosmos name their relations.

https://openlineage.io/docs/spec/naming/
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import Asset

from ..api.artifacts import BUILT
from .lineage import Lineage

TOLD = ("unique_id", "status", "seconds", "rows", "run_id", "run_url")


def asset_of(relation: str, namespace: str) -> Asset:
    """The asset of a model, seed or snapshot.

    Args:
        relation: ``database.schema.identifier``.
        namespace: The warehouse as OpenLineage names it, such as ``snowflake://account``.
    """
    return Asset(f"{namespace.rstrip('/')}/{quote(relation).replace('.', '/')}")


def assets_in(lineage: Lineage, namespace: str) -> dict[str, Asset]:
    """Unique id → asset, of all that dbt builds; none without a namespace."""
    if not namespace:
        return {}
    nodes = (node for node in lineage.nodes.values() if node.type in BUILT and node.relation)
    return {node.unique_id: asset_of(node.relation, namespace) for node in nodes}


def extra_of(told: dict[str, Any]) -> dict[str, Any]:
    """What an event tells, of what a node's task tells."""
    tests = [one["unique_id"] for one in told.get("tests", ()) if one["status"] != "pass"]
    return {name: told[name] for name in TOLD if name in told} | {"failing_tests": tests}
