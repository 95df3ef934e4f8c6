"""Request bodies: JSON, form or multipart, checked against a definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from include.local_dbt_cloud.errors import InvalidRequestError
from include.local_dbt_cloud.json_values import check_values, parse_json_object

MAX_BYTES = 1024 * 1024
TOO_LARGE = "The body is larger than 1 MiB."
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class RequestBody:
    """``strict`` is false for forms, where numbers arrive as text."""

    values: dict[str, Any]
    strict: bool = True

    def parse(self, model: type[Model]) -> Model:
        """Unknown keys are ignored; raises InvalidRequestError naming each field at fault."""
        try:
            return model.model_validate(self.values, strict=self.strict)
        except ValidationError as error:
            raise InvalidRequestError(data=_messages(error)) from None


async def read_body(request: Request) -> RequestBody:
    """Reads at most 1 MiB; no body at all counts as an empty one."""
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


Body = Annotated[RequestBody, Depends(read_body)]


async def _read_bytes(request: Request) -> bytes:
    """Refuses a body that says it is too large before reading any of it."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > MAX_BYTES:
        raise InvalidRequestError(TOO_LARGE)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise InvalidRequestError(TOO_LARGE)
    request._body = bytes(content)  # where Starlette itself keeps it: the form parser reads it
    return bytes(content)


async def _form_values(request: Request) -> dict[str, Any]:
    """A field given more than once is a list, and so are lists of commands."""
    form = await request.form()
    values: dict[str, Any] = {}
    for name in form:
        texts = [text for text in form.getlist(name) if isinstance(text, str)]
        repeats = len(texts) > 1 or name in {"steps_override", "execute_steps"}
        values[name] = texts if repeats else "".join(texts)
    return values


def _messages(error: ValidationError) -> dict[str, Any]:
    """``{"schedule": {"time": "required key not provided"}}``"""
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
