"""A new beginning between two tests. Not part of dbt Cloud, hence outside ``/api/``."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from ..dependencies import server_of
from ..envelope import success


def reset(request: Request) -> JSONResponse:
    """End all runs, and delete everything but what the jobs file and the command line define."""
    server = server_of(request)
    server.runner.reset(server.jobs_file)
    server.faults.reset()
    return success([])
