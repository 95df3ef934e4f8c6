"""Start both APIs on one port: ``python -m include.local_fivetran_census``."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.serving.connections import FIVETRAN
from include.local_dbt_cloud.serving.data_folder import VARIABLE, DataFolderError
from include.local_dbt_cloud.serving.https_server import LOOPBACK_HOSTS, StartError, listen, serve
from include.local_fivetran_census.app import create_app
from include.local_fivetran_census.settings import Settings
from include.shop.warehouse import warehouse_path


def main() -> int:
    """Serve requests until SIGTERM or Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="include.local_fivetran_census", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=FIVETRAN.port, help="0 selects a free port")
    parser.add_argument("--data", type=Path, default=warehouse_path().parent)
    options = parser.parse_args()
    data = options.data.resolve()
    os.environ[VARIABLE] = str(data)  # include.shop.warehouse reads it
    settings = Settings(data)
    if options.host not in LOOPBACK_HOSTS and settings.uses_default_credentials:
        return _refuse(
            f"--host {options.host} can be reached from other machines, and the default "
            "credentials are public: set LOCAL_FIVETRAN_SECRET and LOCAL_CENSUS_TOKEN."
        )
    try:
        with listen(options.host, options.port) as listener:
            _start(settings, listener)
    except (StartError, DataFolderError) as error:
        return _refuse(str(error))
    return 0


def _refuse(reason: str) -> int:
    print(f"The local Fivetran and Census did not start. {reason}", file=sys.stderr)
    return 1


def _start(settings: Settings, listener: socket.socket) -> None:
    certificates = ensure_certificates(settings.data)
    port = listener.getsockname()[1]
    print(f"The local Fivetran and Census are running at https://localhost:{port}", flush=True)
    print(f"  CA file  {certificates.ca}", flush=True)
    serve(create_app(settings), listener, certificates)


if __name__ == "__main__":
    sys.exit(main())
