"""Request bodies: JSON, form or multipart, checked against a schema."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from .errors import InvalidRequestError

MAX_BYTES = 1024 * 1024
TOO_LARGE = "The body is larger than 1 MiB."
Model = TypeVar("Model", bound=BaseModel)
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
SURROGATES = "\ud800", "\udfff"


@dataclass(frozen=True)
class RequestBody:
    """A parsed body; ``strict`` is false for forms, whose numbers are text."""

    values: Any
    strict: bool = True

    def parse(self, model: type[Model]) -> Model:
        """Validate the body; raise InvalidRequestError with each invalid field."""
        try:
            return model.model_validate(self.values, strict=self.strict)
        except ValidationError as error:
            raise InvalidRequestError(data=_messages(error)) from None


async def read_body(request: Request) -> RequestBody:
    """Read at most 1 MiB; a missing body counts as an empty object."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        await _read_bytes(request)
        values = await _form_values(request)
        check_values(values)
        return RequestBody(values, strict=False)
    content = await _read_bytes(request)
    if not content.strip():
        return RequestBody({})
    return RequestBody(parse_json_object(content))


async def read_list(request: Request) -> RequestBody:
    """Read a JSON body that is a list of objects."""
    return RequestBody(parse_json(await _read_bytes(request)))


Body = Annotated[RequestBody, Depends(read_body)]
ListBody = Annotated[RequestBody, Depends(read_list)]


async def _read_bytes(request: Request) -> bytes:
    """Read the body; reject a ``Content-Length`` above the limit before reading."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > MAX_BYTES:
        raise InvalidRequestError(TOO_LARGE)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise InvalidRequestError(TOO_LARGE)
    request._body = bytes(content)  # Starlette's own cache, which the form parser reads
    return bytes(content)


async def _form_values(request: Request) -> dict[str, Any]:
    """Return the fields; repeated fields and command fields are lists."""
    form = await request.form()
    values: dict[str, Any] = {}
    for name in form:
        texts = [text for text in form.getlist(name) if isinstance(text, str)]
        repeats = len(texts) > 1 or name in {"steps_override", "execute_steps"}
        values[name] = texts if repeats else "".join(texts)
    return values


def _messages(error: ValidationError) -> dict[str, Any]:
    """Map invalid fields: ``{"schedule": {"time": "required key not provided"}}``."""
    messages: dict[str, Any] = {}
    for one in error.errors():
        *parents, field = [str(part) for part in one["loc"]] or ["body"]
        place = messages
        for parent in parents:
            place = place.setdefault(parent, {})
        missing = one["type"] == "missing"
        text = one["msg"].removeprefix("Value error, ")
        place[field] = "required key not provided" if missing else text
    return messages


def parse_json_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object; raise InvalidRequestError for any other content."""
    values = parse_json(content)
    if not isinstance(values, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    return values


def parse_json(content: bytes) -> Any:
    """Return the JSON value; raise InvalidRequestError for any other content.

    Also rejected: duplicate keys, NaN and infinite numbers, integers beyond 64 bits, null bytes,
    unpaired surrogates, and more than 32 levels.
    """
    try:
        values = json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidRequestError("The body is not valid JSON.") from None
    check_values(values)
    return values


def check_values(values: Any) -> None:
    """Raise InvalidRequestError for values that the database or a response cannot hold."""
    level = [values]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise InvalidRequestError(f"The body has more than {MAX_DEPTH} levels.")


def _inside(value: Any) -> list[Any]:
    """Return the values inside a value; raise InvalidRequestError if it is invalid itself."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, str) and not _is_sound_text(value):
        raise InvalidRequestError("The body contains a null byte or an unpaired surrogate.")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InvalidRequestError("The body contains an integer of more than 64 bits.")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequestError("The body contains a number that is not finite.")
    return []


def _is_sound_text(text: str) -> bool:
    first, last = SURROGATES
    return "\0" not in text and not any(first <= letter <= last for letter in text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise InvalidRequestError("The body contains the same key twice.")
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
