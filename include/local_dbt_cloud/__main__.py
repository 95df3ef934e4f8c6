"""Start the local dbt Cloud: ``python -m include.local_dbt_cloud``."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .command_line import parse_settings
from .serving.connections import TRUSTED, dbt_cloud_connection
from .serving.data_folder import DataFolderError, hold
from .serving.dbt_pythons import DbtPythonError
from .serving.https_server import ANY_HOST, LOOPBACK_HOSTS, StartError, listen, serve
from .settings import Settings
from .start_checks import check_options, checked_dbt, jobs_of, outputs_of
from .storage.jobs_file import JobsFile, JobsFileError

if TYPE_CHECKING:
    from .serving.certificates import Certificates

SHOWN_JOBS = 5
# Of dbt-cloud-cli; dbtc; Terraform and dbt-jobs-as-code
TOKEN_VARIABLES = ("DBT_CLOUD_API_TOKEN", "DBT_CLOUD_SERVICE_TOKEN", "DBT_CLOUD_TOKEN")


def main(arguments: list[str] | None = None) -> int:
    """Run the server, or ``verify``; return the exit code; print to stderr what went wrong."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["verify"]:
        from .verify.command import main as verify

        return verify(given[1:])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        settings = parse_settings(given)
        check_options(settings)
        with hold(settings.data), listen(settings.host, settings.port) as listener:
            start(settings, listener)
    except (StartError, DataFolderError, DbtPythonError, JobsFileError) as error:
        print(f"The local dbt Cloud did not start. {error}", file=sys.stderr)
        return 1
    return 0


def start(settings: Settings, listener: socket.socket) -> None:
    """Serve requests until SIGTERM or Ctrl-C."""
    jobs_file = jobs_of(settings)
    outputs = outputs_of(settings, jobs_file)
    with checked_dbt(settings.dbt_python, outputs.values()):
        # Imported here because FastAPI and SQLAlchemy take most of the startup time.
        from .api.http_protocol import HttpProtocol
        from .app import create_app, make_server
        from .serving.certificates import ensure_certificates

        certificates = ensure_certificates(settings.data, certificate_names(settings))
        app = create_app(make_server(settings, jobs_file, outputs))
    announce(settings, listener.getsockname()[1], jobs_file, certificates)
    serve(app, listener, certificates, http=HttpProtocol)


def certificate_names(settings: Settings) -> list[str]:
    """Return the names in the server's certificate."""
    is_any = settings.host in ANY_HOST
    return [socket.gethostname() if is_any else settings.host, *settings.certificate_names]


def announce(
    settings: Settings, port: int, jobs_file: JobsFile, certificates: Certificates
) -> None:
    """Print what clients need; the variables are those of Airflow, other clients and OpenSSL."""
    here = settings.host in LOOPBACK_HOSTS | ANY_HOST
    url = settings.public_url or f"https://{'localhost' if here else settings.host}:{port}"
    token = "$LOCAL_DBT_CLOUD_TOKEN" if os.environ.get("LOCAL_DBT_CLOUD_TOKEN") else settings.token
    account_id, ca = jobs_file.account.id, shlex.quote(str(certificates.ca))
    bundle = shlex.quote(str(certificates.bundle))
    connection = dbt_cloud_connection(urlsplit(url).netloc, account_id, token)
    connection = connection.replace(token, in_shell_text(token))
    values = {
        "DBT_CLOUD_HOST": urlsplit(url).netloc,
        "DBT_CLOUD_HOST_URL": f"{url}/api",
        "DBT_CLOUD_ACCOUNT_ID": f"{account_id}",
    } | dict.fromkeys(TOKEN_VARIABLES, f'"{token}"')
    lines = [
        f"The local dbt Cloud is running at {url}",
        f"  token    {token}",
        f"  account  {account_id}",
        f"  jobs     {', '.join(f'{job.id} {job.name}' for job in jobs_file.jobs[:SHOWN_JOBS])}",
        f"  CA file  {certificates.ca}",
        f'  try      curl --cacert {ca} -H "Authorization: Token {token}"'
        f" {url}/api/v2/accounts/{account_id}/jobs/",
        "For clients in another terminal:",
        f"  export AIRFLOW_CONN_DBT_CLOUD_DEFAULT='{connection}'",
        *(f"  export {name}={value}" for name, value in values.items()),
        *(f"  export {name}={bundle}" for name in TRUSTED),
    ]
    print("\n".join(lines), flush=True)


def in_shell_text(token: str) -> str:
    """Return the token for text in single quotes, in which a shell replaces no variable."""
    return f"'\"{token}\"'" if token.startswith("$") else token


if __name__ == "__main__":
    sys.exit(main())
