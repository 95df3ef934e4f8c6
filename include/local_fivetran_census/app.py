"""Both APIs in one web application; their paths do not overlap."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from include.local_fivetran_census import census, fivetran
from include.local_fivetran_census.errors import ApiError
from include.local_fivetran_census.settings import Settings

NAME = "local Fivetran and Census"


def create_app(settings: Settings) -> FastAPI:
    """Return the application: Fivetran below ``/v1``, Census below ``/api/v1``, and ``/health``."""
    app = FastAPI(title=NAME, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(fivetran.router(settings))
    app.include_router(census.router(settings))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"name": NAME}

    @app.exception_handler(ApiError)
    def refuse(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error.body, error.status)

    @app.exception_handler(RequestValidationError)
    def refuse_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        message = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        return JSONResponse({"code": "InvalidInput", "status": "invalid", "message": message}, 400)

    return app
