"""The envelope of every response (CONTRACT.md, section 1.5)."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from .errors import ApiError


def success(data: Any, extra: dict[str, Any] | None = None, code: int = 200) -> JSONResponse:
    """Return a success response; ``extra`` (filters, order, pagination) is only for lists."""
    status = {
        "code": code,
        "is_success": True,
        "user_message": "Success!",
        "developer_message": "",
    }
    body = {"status": status, "data": data}
    if extra is not None:
        body["extra"] = extra
    return JSONResponse(body, status_code=code)


def failure(error: ApiError, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error response; ``data`` is null or contains the invalid fields."""
    status = {
        "code": error.code,
        "is_success": False,
        "user_message": error.user_message,
        "developer_message": error.developer_message,
    }
    return JSONResponse({"status": status, "data": error.data}, error.code, headers)
