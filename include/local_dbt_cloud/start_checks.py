"""What must be right before the server starts: dbt, its projects, their profiles and adapters."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from .runs.warehouse import PLACEHOLDER
from .serving.https_server import LOOPBACK_HOSTS, StartError
from .settings import DEFAULT_TOKEN, Settings
from .storage.dbt_project import DbtProject, DbtProjectError, read_dbt_project
from .storage.jobs_file import JobsFile, one_job_each, read_jobs_file
from .storage.profiles import DUCKDB, Output, ProfileError, output_of

RUN_SLOTS = 4  # of adapters other than DuckDB; each has a dbt process of about 190 MB
PROBE_SECONDS = 60.0
ADVICE = "Pass another one with --dbt-python."
# Prints the version of dbt, and which adapters are missing. dbt 2.0 has its adapters built in.
PROBE = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
try:
    adapters = sys.argv[1:] if version("dbt-core").startswith("1.") else []
    missing = [one for one in adapters if not find_spec("dbt.adapters." + one)]
except (PackageNotFoundError, ModuleNotFoundError):
    missing = sys.argv[1:]
print(json.dumps(missing))
"""


def check_options(settings: Settings) -> None:
    """Raise StartError if an option is unusable by itself."""
    if settings.host not in LOOPBACK_HOSTS and settings.token == DEFAULT_TOKEN:
        raise StartError(
            f"--host {settings.host} can be reached from other machines, and the default token is "
            "public: set LOCAL_DBT_CLOUD_TOKEN to a token of your own."
        )
    for version, python in settings.dbt_pythons.items():
        if not python.exists():
            raise StartError(f"--dbt-python {version}={python}: this file does not exist.")


def jobs_of(settings: Settings) -> JobsFile:
    """Return the content of the jobs file, or one job for each dbt project."""
    if settings.jobs_file is None:
        return one_job_each({one: _project(path) for one, path in settings.dbt_projects.items()})
    jobs_file = read_jobs_file(settings.jobs_file)
    ids = {project.id for project in jobs_file.projects}
    if unknown := settings.dbt_projects.keys() - ids:
        raise StartError(f"--dbt-project {min(unknown)}: {settings.jobs_file} has no such project.")
    if settings.dbt_project is None and (homeless := ids - settings.dbt_projects.keys()):
        raise StartError(
            f"Project {min(homeless)} of {settings.jobs_file} has no folder: pass --dbt-project "
            f"{min(homeless)}=PATH, or one --dbt-project PATH for all others."
        )
    if settings.profiles_dir and PLACEHOLDER in jobs_file.before_runs:
        raise StartError(
            f"before_runs in {settings.jobs_file} prepares {PLACEHOLDER}, the server's own DuckDB, "
            "which --profiles-dir replaces: name your warehouse there instead."
        )
    return jobs_file


def outputs_of(settings: Settings, jobs_file: JobsFile) -> dict[int, Output]:
    """Return project id → output of dbt's profile; raise StartError if a project has none.

    A jobs file without projects has that of the projects to come, by the id 0.
    """
    outputs: dict[int, Output] = {}
    folders: dict[str, Path] = {}
    subdirectories = {one.id: one.dbt_project_subdirectory for one in jobs_file.projects}
    for project_id, subdirectory in (subdirectories or {0: None}).items():
        folder = settings.folder_of(project_id, subdirectory)
        found = _project(folder)
        if (other := folders.setdefault(found.name, folder)) != folder:
            raise StartError(
                f"{other} and {folder} are both dbt projects with the name {found.name}: "
                "change the name in one of them."
            )
        try:
            outputs[project_id] = output_of(settings, found, folder)
        except ProfileError as error:
            raise StartError(str(error)) from None
    return outputs


def with_run_slots(jobs_file: JobsFile, outputs: Collection[Output]) -> JobsFile:
    """Return the jobs file with as many runs at once as its adapters allow, unless it says so."""
    is_duckdb = any(output["type"] == DUCKDB for output in outputs)
    slots = jobs_file.account.run_slots or (1 if is_duckdb else RUN_SLOTS)
    account = jobs_file.account.model_copy(update={"run_slots": slots})
    return jobs_file.model_copy(update={"account": account})


@contextmanager
def checked_dbt(python: Path, outputs: Collection[Output]) -> Iterator[None]:
    """Check, beside the block, that this Python has dbt with the adapters of all outputs.

    Raises StartError at the end of the block if it has not.
    """
    adapters = sorted({output["type"] for output in outputs})
    command = [python, "-P", "-c", PROBE, *adapters]
    try:
        probe = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise StartError(
            f"dbt's Python {python} does not start: {error.strerror}. {ADVICE}"
        ) from None
    with probe:
        yield
        missing = _printed_by(probe)
    if missing is None:
        raise StartError(f"dbt's Python {python} does not run Python. {ADVICE}")
    if missing:
        packages = " ".join(["dbt-core", *(f"dbt-{one}" for one in missing)])
        raise StartError(
            f"{python} has no dbt for {', '.join(missing)}: install it with "
            f"`{python} -m pip install {packages}`, or pass another Python with --dbt-python."
        )


def _printed_by(probe: subprocess.Popen[str]) -> list[str] | None:
    """Return the missing adapters; None if the program is no Python."""
    try:
        missing: list[str] = json.loads(probe.communicate(timeout=PROBE_SECONDS)[0])
    except (subprocess.TimeoutExpired, ValueError):
        probe.kill()
        return None
    return missing


def _project(folder: Path) -> DbtProject:
    try:
        return read_dbt_project(folder)
    except DbtProjectError as error:
        raise StartError(f"{error} Set --dbt-project to a folder with a dbt project.") from None
