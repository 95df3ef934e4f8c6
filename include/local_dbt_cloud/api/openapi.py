"""The parts of ``/openapi.json`` that FastAPI cannot derive from the handlers.

It needs no token because it contains no data. Handlers read query parameters and bodies in every
encoding that clients send, which FastAPI cannot see, so the route table describes them here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from ..storage.schemas import MAX_ID
from .query import MAX_LIMIT, Listing
from .routes import Route

JsonSchema = dict[str, Any]

SCHEMAS = "#/components/schemas/"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
ERRORS = (400, 401, 403, 404)
STATUS: JsonSchema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer"},
        "is_success": {"type": "boolean"},
        "user_message": {"type": "string"},
        "developer_message": {"type": ["string", "null"]},
    },
    "required": ["code", "is_success"],
}
ENVELOPE: JsonSchema = {
    "type": "object",
    "properties": {"status": STATUS, "data": {}, "extra": {"type": "object"}},
    "required": ["status", "data"],
}


def describe(app: FastAPI, routes: Iterable[Route], account_id: int) -> None:
    """Replace ``app.openapi()``; the document is built on the first request for it."""
    described = tuple(routes)

    def openapi() -> JsonSchema:
        if app.openapi_schema is None:
            app.openapi_schema = make_document(app, described, account_id)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def make_document(app: FastAPI, routes: tuple[Route, ...], account_id: int) -> JsonSchema:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    models = [(route.body, "validation") for route in routes if route.body]
    _, definitions = models_json_schema(models, ref_template=SCHEMAS + "{model}")  # type: ignore[arg-type]
    components = document.setdefault("components", {})
    components["schemas"] = {"Envelope": ENVELOPE, **definitions.get("$defs", {})}
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "`Token` works too."}
    }
    document["security"] = [{"token": []}]
    for route in routes:
        path = re.sub(r":\w+}", "}", route.path)  # {name:path} is {name}
        operation = document["paths"][path][route.method.lower()]
        operation["parameters"] = [*_in_path(path, account_id), *_in_query(route)]
        operation["responses"] = _responses(route)
        if route.body:
            operation["requestBody"] = _body(route.body.__name__)
    return document


def _in_path(path: str, account_id: int) -> list[JsonSchema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(name, account_id)}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _path_schema(name: str, account_id: int) -> JsonSchema:
    """Return the schema of a path parameter; some ids are text, and there is one account."""
    if name == "account_id":
        return {"type": "integer", "enum": [account_id]}
    if name in {"name", "path", "subscription_id", "event_id"}:
        return {"type": "string"}
    return {"type": "integer", "minimum": 0, "maximum": MAX_ID}


def _in_query(route: Route) -> list[JsonSchema]:
    parameters = dict(route.query)
    if route.listing:
        parameters |= _list_parameters(route.listing)
    return [{"name": name, "in": "query", "schema": parameters[name]} for name in parameters]


def _list_parameters(listing: Listing) -> JsonSchema:
    orders = [sign + name for name in listing.order for sign in ("", "-")]
    parameters: JsonSchema = {name: one.schema for name, one in listing.filters.items()}
    if listing.state is not None:
        states = ["active", "deleted", "all", "1", "2"]
        parameters["state"] = {"type": "string", "enum": states}
    return parameters | {
        "order_by": {"type": "string", "enum": orders},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
        "offset": {"type": "integer", "minimum": 0},
    }


def _responses(route: Route) -> JsonSchema:
    envelope = {"application/json": {"schema": {"$ref": SCHEMAS + "Envelope"}}}
    success = {"*/*": {"schema": {}}} if "{name" in route.path else envelope
    responses = {route.code: success} | dict.fromkeys(ERRORS, envelope)
    return {
        str(code): {"description": HTTPStatus(code).phrase, "content": content}
        for code, content in responses.items()
    }


def _body(model: str) -> JsonSchema:
    """Return the schemas of a body: forms cannot describe nested fields, JSON can."""
    content = {kind: {"schema": {"type": "object"}} for kind in FORMS}
    content["application/json"] = {"schema": {"$ref": SCHEMAS + model}}
    return {"required": True, "content": content}
