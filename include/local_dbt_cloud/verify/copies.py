"""Copies of an account's resources in the local dbt Cloud, so that both have some to compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.handlers.resources import Resources
from ..api.stored_schemas import Refers
from .calls import DbtCloud
from .endpoints import id_name


def copy_resources(
    theirs: Mapping[Resources, dict[str, Any]], ours: DbtCloud, our_ids: dict[str, Any]
) -> None:
    """Create a copy of each resource, and put its id into ``our_ids``.

    A kind is left out if it needs a secret, which no response contains.
    """
    left = dict(theirs)
    for _ in range(2):  # the second time with what the others refer to
        for kind, resource in list(left.items()):
            body = copied(kind, resource, our_ids)
            answer = ours.post(kind.path.format_map(our_ids), body)
            if answer.body:
                our_ids[id_name(kind.kind)] = answer.body["data"]["id"]
                del left[kind]


def copied(kind: Resources, found: dict[str, Any], our_ids: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that creates the resource, with the ids of what is here."""
    fields = kind.schema.variant(found).model_fields
    names = {name: field.alias or name for name, field in fields.items() if name != "account_id"}
    body = {shown: found[shown] for shown in names.values() if shown in found}
    for name, field in fields.items():
        for mark in field.metadata:
            if isinstance(mark, Refers) and body.get(names[name]) is not None:
                body[names[name]] = our_ids.get(id_name(mark.kind))
    return body
