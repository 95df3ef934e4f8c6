"""Assets of models, with the URIs of OpenLineage and Cosmos.

https://openlineage.io/docs/spec/naming/
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import Asset

from ..api.artifacts import BUILT
from .lineage import Lineage

EXTRA_FIELDS = ("unique_id", "status", "seconds", "rows", "run_id", "run_url")


def asset_of(relation: str, namespace: str) -> Asset:
    """Return the asset of a model, seed or snapshot.

    Args:
        relation: ``database.schema.identifier``.
        namespace: The warehouse's name in OpenLineage, such as ``snowflake://account``.
    """
    return Asset(f"{namespace.rstrip('/')}/{quote(relation).replace('.', '/')}")


def assets_in(lineage: Lineage, namespace: str) -> dict[str, Asset]:
    """Return unique id → asset of all models, seeds and snapshots; empty without a namespace."""
    if not namespace:
        return {}
    nodes = (node for node in lineage.nodes.values() if node.type in BUILT and node.relation)
    return {node.unique_id: asset_of(node.relation, namespace) for node in nodes}


def extra_of(result: dict[str, Any]) -> dict[str, Any]:
    """Return the extra of an asset event, from the XCom of a node's task."""
    tests = [one["unique_id"] for one in result.get("tests", ()) if one["status"] != "pass"]
    return {name: result[name] for name in EXTRA_FIELDS if name in result} | {
        "failing_tests": tests
    }
