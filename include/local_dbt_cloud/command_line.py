"""The server's options, and what is wrong with them."""

from __future__ import annotations

import argparse
import os
import re
import sys
from itertools import count
from pathlib import Path

from .api.faults import parse_fault
from .pyproject import options_in_pyproject
from .serving import data_folder
from .serving.connections import DBT_CLOUD
from .serving.dbt_pythons import given_pythons
from .serving.https_server import StartError
from .settings import DEFAULT_TOKEN, WEBHOOK_TIMEOUT, WEBHOOK_WAITS, Settings

PROGRAM = "local-dbt-cloud" if __package__ == "local_dbt_cloud" else f"python -m {__package__}"
# Option → the variable that replaces its default.
VARIABLES = {
    "data": data_folder.VARIABLE,
    "public_url": "LOCAL_DBT_CLOUD_PUBLIC_URL",
    "airflow_page": "LOCAL_DBT_CLOUD_AIRFLOW_PAGE",
}


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="dbt Cloud's API on this machine, running real dbt. "
        "The token is LOCAL_DBT_CLOUD_TOKEN, by default " + DEFAULT_TOKEN + ".",
    )
    parser.add_argument("--isolated", action="store_true", help="ignore options in pyproject.toml")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=DBT_CLOUD.port, help="0 selects a free port")
    parser.add_argument(
        "--certificate-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a further host name of the certificate, such as cloud.getdbt.com; may be repeated",
    )
    parser.add_argument(
        "--data", type=resolved, default=".local_dbt_cloud", help="folder, default: %(default)s"
    )
    _add_dbt(parser)
    parser.add_argument("--jobs", type=resolved, help="a jobs.yaml")
    parser.add_argument("--keep-runs", type=int, default=200, help="number of run folders to keep")
    parser.add_argument(
        "--public-url",
        type=public_url,
        help="start of links in responses and pages; default: the address of the request",
    )
    parser.add_argument(
        "--airflow-page",
        type=page_url,
        help='address of the page "dbt Cloud" in Airflow, to which pages of runs link',
    )
    _add_webhooks_and_faults(parser)
    parser.add_argument(
        "--log-requests",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="log method, path and status of each request",
    )
    return parser


def _add_dbt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dbt-python", type=dbt_python, action="append", default=[], metavar="[VERSION=]PATH"
    )
    parser.add_argument(
        "--dbt-project",
        type=dbt_project,
        action="append",
        default=[],
        metavar="[PROJECT_ID=]PATH",
        help="a dbt project, or the repository that has a project's subdirectory; may be repeated",
    )
    parser.add_argument(
        "--profiles-dir",
        type=resolved,
        metavar="PATH",
        help="folder of a profiles.yml; default: a DuckDB file of the server's own",
    )
    parser.add_argument("--target", help="output in profiles.yml, default: the profile's target")


def _add_webhooks_and_faults(parser: argparse.ArgumentParser) -> None:
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


def parse_settings(arguments: list[str]) -> Settings:
    """Return the settings: options, else variables, else those of ``pyproject.toml``."""
    parser, in_file = command_line(), command_line().parse_args([])
    if "--isolated" not in arguments:
        in_file = options_in_pyproject(command_line(), Path.cwd())
    options = merged(parser, arguments, in_file)
    if options.target and not options.profiles_dir:
        parser.error("--target names an output of a profiles.yml: pass --profiles-dir too")
    projects = projects_of(options.dbt_project, has_jobs=options.jobs is not None)
    pythons = {"": Path(sys.executable)} | dict(in_file.dbt_python)
    pythons |= given_pythons(os.environ, Path.cwd()) | dict(options.dbt_python)
    return Settings(
        data=options.data,
        token=os.environ.get("LOCAL_DBT_CLOUD_TOKEN") or DEFAULT_TOKEN,
        host=options.host,
        port=options.port,
        certificate_names=tuple(options.certificate_name),
        dbt_python=pythons.pop(""),
        dbt_pythons=pythons,
        dbt_project=projects.pop(0, None),
        dbt_projects=projects,
        profiles_dir=options.profiles_dir,
        target=options.target,
        jobs_file=options.jobs,
        keep_runs=max(1, options.keep_runs),
        public_url=options.public_url,
        airflow_page=options.airflow_page,
        webhook_waits=options.webhook_waits,
        webhook_timeout=options.webhook_timeout,
        faults=tuple(options.fault),
        log_requests=options.log_requests,
    )


def merged(
    parser: argparse.ArgumentParser, arguments: list[str], in_file: argparse.Namespace
) -> argparse.Namespace:
    """Return the options, with defaults from variables, then from the file."""
    defaults = {name: value for name, value in vars(in_file).items() if not isinstance(value, list)}
    given = {name: os.environ.get(variable) for name, variable in VARIABLES.items()}
    parser.set_defaults(**defaults | {name: value for name, value in given.items() if value})
    options = parser.parse_args(arguments)
    for name in ("certificate_name", "dbt_project", "fault"):  # argparse would append to a default
        setattr(options, name, getattr(options, name) or getattr(in_file, name))
    return options


def resolved(text: str) -> Path:
    return Path(text).resolve()


def dbt_python(text: str) -> tuple[str, Path]:
    """Return version and path of ``[VERSION=]PATH``; the default dbt has an empty version."""
    version, separator, path = text.partition("=")
    if not separator or "/" in version:
        version, path = "", text
    return version, Path(path).absolute()  # not resolved: a venv's Python is a symlink


def dbt_project(text: str) -> tuple[int, Path]:
    """Return project id and path of ``[PROJECT_ID=]PATH``; id 0 if there is none."""
    project_id, separator, path = text.partition("=")
    if not separator or not project_id.isdecimal():
        project_id, path = "0", text
    return int(project_id), resolved(path)


def projects_of(given: list[tuple[int, Path]], has_jobs: bool) -> dict[int, Path]:
    """Return project id → folder; 0 is the project of all other ids.

    Without a jobs file, folders without an id get the next free one. Raises StartError if it is not
    known what a folder is for.
    """
    if not given:
        given = [(0, Path.cwd())]
    unnamed = [path for project_id, path in given if not project_id]
    named = {project_id: path for project_id, path in given if project_id}
    if len(unnamed) + len(named) < len(given):
        raise StartError("--dbt-project: two folders have the same project id.")
    if has_jobs and len(unnamed) > 1:
        raise StartError(
            "--dbt-project: the jobs file has projects of its own. For each folder name its "
            "project, as in --dbt-project 36467=PATH."
        )
    if has_jobs:
        return dict(given)
    free = (number for number in count(1) if number not in named)
    return named | dict(zip(free, unnamed, strict=False))


def public_url(text: str) -> str:
    """Return a URL like ``https://localhost:8580`` without a trailing slash."""
    if not re.fullmatch(r"https?://[^/?#\s]+/?", text):
        raise argparse.ArgumentTypeError(f"{text} must be a URL such as https://localhost:8580")
    return text.rstrip("/")


def page_url(text: str) -> str:
    """Return the URL of a page without a trailing slash."""
    if not re.fullmatch(r"https?://[^?#\s]+", text):
        raise argparse.ArgumentTypeError(f"{text} must be a URL such as http://localhost:8080/page")
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
