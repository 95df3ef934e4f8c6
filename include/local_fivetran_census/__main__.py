"""Starts both stand-ins on one port: ``python -m include.local_fivetran_census``."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

import uvicorn

from include.local_dbt_cloud.settings import LOOPBACK_HOSTS
from include.local_fivetran_census.app import create_app
from include.local_fivetran_census.settings import Settings
from include.local_servers.certificates import ensure_certificates
from include.shop.warehouse import warehouse_path


def main() -> int:
    """Answer until SIGTERM or Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="include.local_fivetran_census", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8581, help="0 takes a free one")
    parser.add_argument("--data", type=Path, default=warehouse_path().parent)
    options = parser.parse_args()
    data = options.data.resolve()
    os.environ["LOCAL_DBT_CLOUD_DATA"] = str(data)  # include.shop.warehouse reads it
    settings = Settings(data)
    if options.host not in LOOPBACK_HOSTS and settings.accepts_known_credentials:
        return _refuse(
            f"--host {options.host} can be reached from other machines, and the default "
            "credentials are public: set LOCAL_FIVETRAN_SECRET and LOCAL_CENSUS_TOKEN."
        )
    try:
        listener = socket.create_server((options.host, options.port))
    except OSError as error:
        return _refuse(
            f"Port {options.port} on {options.host} cannot be used: {error.strerror}. "
            "Stop what uses it, or choose another one with --port."
        )
    _serve(settings, listener)
    return 0


def _refuse(reason: str) -> int:
    print(f"The local Fivetran and Census did not start. {reason}", file=sys.stderr)
    return 1


def _serve(settings: Settings, listener: socket.socket) -> None:
    certificates = ensure_certificates(settings.data)
    config = uvicorn.Config(
        create_app(settings),
        ssl_certfile=certificates.server,
        ssl_keyfile=str(certificates.server_key),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,  # seconds
        server_header=False,
    )
    port = listener.getsockname()[1]
    print(f"The local Fivetran and Census answer at https://localhost:{port}", flush=True)
    print(f"  CA file  {certificates.ca}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
