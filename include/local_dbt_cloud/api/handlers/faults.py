"""Injected faults: list, add, clear. Not part of dbt Cloud, hence outside ``/api/``."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from ..dependencies import server_of
from ..envelope import success
from ..faults import Fault
from ..request_body import Body


def list_faults(request: Request) -> JSONResponse:
    """Return the pending faults and the number of calls left for each."""
    return success([fault.model_dump() for fault in server_of(request).faults.list()])


def add_fault(request: Request, body: Body) -> JSONResponse:
    fault = body.parse(Fault)
    server_of(request).faults.add(fault)
    return success(fault.model_dump(), code=201)


def clear_faults(request: Request) -> JSONResponse:
    """Remove all faults."""
    server_of(request).faults.clear()
    return success([])
