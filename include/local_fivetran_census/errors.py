"""The error that ends a call."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """The HTTP status, and the body in the vendor's format."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body["message"])
        self.status = status
        self.body = body
