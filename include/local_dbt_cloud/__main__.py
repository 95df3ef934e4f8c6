"""Start the local dbt Cloud: ``python -m include.local_dbt_cloud``."""

from __future__ import annotations

import argparse
import logging
import os
import re
import socket
import sys
from pathlib import Path

from include.local_dbt_cloud.api.faults import parse_fault
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from include.local_dbt_cloud.serving.data_folder import DataFolderError, default_data, hold
from include.local_dbt_cloud.serving.dbt_pythons import DbtPythonError, given_pythons
from include.local_dbt_cloud.serving.serving import (
    ANY_HOST,
    LOOPBACK_HOSTS,
    StartError,
    listen,
    serve,
)
from include.local_dbt_cloud.settings import (
    DBT_PROJECT,
    DEFAULT_TOKEN,
    JOBS_FILE,
    WEBHOOK_TIMEOUT,
    WEBHOOK_WAITS,
    Settings,
    default_dbt_python,
)
from include.local_dbt_cloud.storage.jobs_file import JobsFileError


def main(arguments: list[str] | None = None) -> int:
    """Run the server and return the exit code; print to stderr why it could not start."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        settings = parse_settings(arguments)
        check(settings)
        with hold(settings.data), listen(settings.host, settings.port) as listener:
            start(settings, listener)
    except (StartError, DataFolderError, DbtPythonError, JobsFileError) as error:
        print(f"The local dbt Cloud did not start. {error}", file=sys.stderr)
        return 1
    return 0


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.local_dbt_cloud",
        description="dbt Cloud's API on this machine, running real dbt on DuckDB. "
        "The token is LOCAL_DBT_CLOUD_TOKEN, by default " + DEFAULT_TOKEN + ".",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=DBT_CLOUD.port, help="0 selects a free port")
    parser.add_argument("--data", type=Path, default=default_data(), help="the data folder")
    parser.add_argument(
        "--dbt-python", type=dbt_python, action="append", default=[], metavar="[VERSION=]PATH"
    )
    parser.add_argument("--dbt-project", type=Path, default=DBT_PROJECT)
    parser.add_argument("--jobs", type=Path, default=JOBS_FILE, help="a jobs.yaml")
    parser.add_argument("--keep-runs", type=int, default=200, help="number of run folders to keep")
    parser.add_argument(
        "--public-url",
        type=public_url,
        default=os.environ.get("LOCAL_DBT_CLOUD_PUBLIC_URL") or None,
        help="start of links in responses and pages; default: the address of the request",
    )
    parser.add_argument(
        "--webhook-waits",
        type=webhook_waits,
        default=WEBHOOK_WAITS,
        metavar="SECONDS,...",
        help="delays before the second to fifth attempt of a webhook, default: 1,5,25,125",
    )
    parser.add_argument(
        "--webhook-timeout", type=float, default=WEBHOOK_TIMEOUT, help="seconds, %(default)g"
    )
    parser.add_argument(
        "--fault",
        type=fault,
        action="append",
        default=[],
        metavar="'KIND [METHOD [PATH]] [times=N] [seconds=N]'",
        help="a fault to inject, for example '503 GET */runs/* times=3'; may be repeated",
    )
    return parser


def parse_settings(arguments: list[str] | None) -> Settings:
    options = command_line().parse_args(arguments)
    pythons = {"": default_dbt_python()} | given_pythons(os.environ, Path.cwd())
    pythons |= dict(options.dbt_python)
    return Settings(
        data=options.data.resolve(),
        token=os.environ.get("LOCAL_DBT_CLOUD_TOKEN") or DEFAULT_TOKEN,
        host=options.host,
        port=options.port,
        dbt_python=pythons.pop(""),
        dbt_pythons=pythons,
        dbt_project=options.dbt_project.resolve(),
        jobs_file=options.jobs,
        keep_runs=max(1, options.keep_runs),
        public_url=options.public_url,
        webhook_waits=options.webhook_waits,
        webhook_timeout=options.webhook_timeout,
        faults=tuple(options.fault),
    )


def dbt_python(text: str) -> tuple[str, Path]:
    """Return version and path of ``[VERSION=]PATH``; the default dbt has an empty version."""
    version, separator, path = text.partition("=")
    if not separator or "/" in version:
        version, path = "", text
    return version, Path(path).absolute()  # not resolved: a venv's Python is a symlink


def public_url(text: str) -> str:
    """Return a URL like ``https://localhost:8580`` without a trailing slash."""
    if not re.fullmatch(r"https?://[^/?#\s]+/?", text):
        raise argparse.ArgumentTypeError(f"{text} must be a URL such as https://localhost:8580")
    return text.rstrip("/")


def webhook_waits(text: str) -> tuple[float, ...]:
    """Parse seconds separated by commas."""
    waits = tuple(float(word) for word in text.split(","))
    if any(not 0 <= wait <= 86400 for wait in waits):
        raise argparse.ArgumentTypeError("each wait must be between 0 and 86400 seconds")
    return waits


def fault(text: str) -> str:
    """Return the text unchanged; raise ArgumentTypeError if it is not a fault."""
    try:
        parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return text


def check(settings: Settings) -> None:
    """Raise StartError if a setting is unusable."""
    if settings.host not in LOOPBACK_HOSTS and settings.token == DEFAULT_TOKEN:
        raise StartError(
            f"--host {settings.host} can be reached from other machines, and the default token is "
            "public: set LOCAL_DBT_CLOUD_TOKEN to a token of your own."
        )
    if not settings.dbt_python.exists():
        raise StartError(
            f"dbt's Python {settings.dbt_python} does not exist: run `make run` once, "
            "or pass another Python that has dbt-duckdb with --dbt-python."
        )
    for version, python in settings.dbt_pythons.items():
        if not python.exists():
            raise StartError(f"--dbt-python {version}={python}: this file does not exist.")
    if not (settings.dbt_project / "dbt_project.yml").exists():
        raise StartError(f"{settings.dbt_project} is not a dbt project: set --dbt-project.")


def start(settings: Settings, listener: socket.socket) -> None:
    """Serve requests until SIGTERM or Ctrl-C."""
    # Imported here because FastAPI and SQLAlchemy take most of the startup time.
    from include.local_dbt_cloud.api.http_protocol import HttpProtocol
    from include.local_dbt_cloud.app import create_app, make_server
    from include.local_dbt_cloud.serving.certificates import ensure_certificates
    from include.local_dbt_cloud.storage.jobs_file import read_jobs_file

    jobs_file = read_jobs_file(settings.jobs_file)
    certificates = ensure_certificates(settings.data, certificate_names(settings.host))
    app = create_app(make_server(settings, jobs_file))
    announce(settings, listener.getsockname()[1], jobs_file.account.id, certificates.ca)
    serve(app, listener, certificates, http=HttpProtocol)


def certificate_names(host: str) -> list[str]:
    """Return the names in the certificate of a server that listens on ``host``."""
    return [socket.gethostname()] if host in ANY_HOST else [host]


def announce(settings: Settings, port: int, account_id: int, ca: Path) -> None:
    here = settings.host in LOOPBACK_HOSTS | ANY_HOST
    url = settings.public_url or f"https://{'localhost' if here else settings.host}:{port}"
    token = "$LOCAL_DBT_CLOUD_TOKEN" if os.environ.get("LOCAL_DBT_CLOUD_TOKEN") else settings.token
    print(
        f"The local dbt Cloud is running at {url}\n"
        f"  token    {token}\n"
        f"  CA file  {ca}\n"
        f'  try      curl --cacert {ca} -H "Authorization: Token {token}"'
        f" {url}/api/v2/accounts/{account_id}/jobs/",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
