"""Validation of events against OpenLineage's JSON schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
OWN = "https://openlineage.io/spec/"
OLD_CORE = "https://openlineage.io/spec/1-0-2/OpenLineage.json"


def problems(event: dict[str, Any]) -> list[str]:
    """Return where an event and its facets differ from their schemas.

    An unknown version of a facet raises an error. Airflow's own facets have no schema here.
    """
    found = [f"{error.json_path}: {error.message}" for error in validator(EVENT).iter_errors(event)]
    for facet in facets_in(event):
        if schema := schema_of(facet["_schemaURL"]):
            errors = validator(schema).iter_errors(facet)
            found += [f"{schema} {error.json_path}: {error.message}" for error in errors]
    return found


def schema_of(url: str) -> str:
    if url.startswith(OWN):
        return url
    place, _ = urldefrag(url)
    return dbt_schemas().get(place.rpartition("/")[2], "")


def facets_in(value: Any) -> Iterator[dict[str, Any]]:
    children = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict) and "_schemaURL" in value:
        yield value
    if isinstance(value, dict | list):
        for child in children:
            yield from facets_in(child)


@cache
def validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": schema}, registry=registry(), format_checker=FormatChecker()
    )


@cache
def registry() -> Registry[Any]:
    resources = [
        DRAFT202012.create_resource(json.loads(file.read_text()))
        for file in [*(Path(__file__).parent / "spec").glob("*.json"), *dbt_files()]
    ]
    by_id = {one.contents["$id"]: one for one in resources}
    # One of dbt's schemas refers to an older version, for the base of all facets.
    by_id[OLD_CORE] = by_id[urldefrag(EVENT).url]
    return Registry().with_resources(by_id.items())


def dbt_files() -> list[Path]:
    """Return the schemas of dbt's facets, which OpenLineage's package contains."""
    folder = Path(str(files("openlineage.common.schema")))
    return sorted(folder.glob("dbt-*.json"))


@cache
def dbt_schemas() -> dict[str, str]:
    """Return file name → reference of the facet's definition."""
    found = {}
    for file in dbt_files():
        content = json.loads(file.read_text())
        for name in content.get("$defs", {}):
            if name.endswith("Facet"):
                found[file.name] = f"{content['$id']}#/$defs/{name}"
    return found
