"""How a handler ends a call that cannot be answered."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A status number and the body in the vendor's own form."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body["message"])
        self.status = status
        self.body = body
