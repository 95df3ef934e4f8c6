"""The output of dbt's profile that the runs of a project use.

It is the server's own DuckDB file or, with ``--profiles-dir``, an output of ``profiles.yml``, whose
templates dbt renders.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..serving.yaml_lines import YamlError, read_yaml
from ..settings import Settings
from .dbt_project import DbtProject

FILE = "profiles.yml"
DUCKDB = "duckdb"
LOCK_ATTEMPTS = 8  # an Airflow task may hold the warehouse: dbt waits 1, 2, 4 ... seconds
NAMES = {DUCKDB: "DuckDB", "postgres": "PostgreSQL"}
# What a connection shows: nothing that could be a secret.
SHOWN = ("path", "host", "port", "dbname", "database", "account", "project", "catalog", "http_path")
# Files that a profile names; dbt would look for them in the folder of a run.
FILES = ("path", "keyfile", "private_key_path", "sslcert", "sslkey", "sslrootcert")
NO_FILE = re.compile(r":memory:|md:|motherduck:|~|.*(\{\{|://)")
VARIABLE = re.compile(r"env_var\(\W*(\w+)")

Output = dict[str, Any]


class ProfileError(Exception):
    """There is no such output; the message has file, line and reason."""


class Profile(BaseModel):
    outputs: dict[str, Output]
    target: str = "default"


def output_of(settings: Settings, project: DbtProject, folder: Path) -> Output:
    """Return the output for a dbt project in a folder; raise ProfileError if there is none."""
    if settings.profiles_dir is None:
        return own_output(settings.warehouse)
    return read_output(settings.profiles_dir, project.profile_name, settings.target, folder)


def own_output(warehouse: Path) -> Output:
    """Return the output of the server's own warehouse."""
    return {
        "type": DUCKDB,
        "path": str(warehouse),
        "schema": "analytics",
        "retries": {
            "connect_attempts": LOCK_ATTEMPTS,
            "retryable_exceptions": ["IOException"],
        },
    }


def read_output(folder: Path, name: str, target: str | None, home: Path) -> Output:
    """Return one output of the profile ``name``; raise ProfileError if there is none.

    Args:
        folder: Where ``profiles.yml`` is.
        name: The profile that the dbt project names.
        target: The name of the output; None for the profile's own ``target``.
        home: The dbt project's folder, where relative paths start.
    """
    file = folder / FILE
    try:
        content = read_yaml(file)
    except YamlError as error:
        raise ProfileError(str(error)) from None
    if not isinstance(content, dict) or name not in content:
        names = ", ".join(sorted(map(str, content))) if isinstance(content, dict) else "none"
        raise ProfileError(f"{file} has no profile {name}; it has: {names}.")
    try:
        profile = Profile.model_validate(content[name])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise ProfileError(f"{file}: {place}: {first['msg']}.") from None
    target = target or profile.target
    output = profile.outputs.get(target)
    if output is None:
        names = ", ".join(sorted(profile.outputs)) or "none"
        raise ProfileError(f"{file}: the profile {name} has no output {target}; it has: {names}.")
    if not isinstance(output.get("type"), str):
        raise ProfileError(f"{file}: {name}.outputs.{target} has no type.")
    return with_absolute_paths(output, home)


def with_absolute_paths(output: Output, home: Path) -> Output:
    """Return the output with files, also those of attached databases, below ``home``."""
    attached = output.get("attach")
    more = {}
    if isinstance(attached, list):
        more["attach"] = [
            with_absolute_paths(one, home) if isinstance(one, dict) else one for one in attached
        ]
    found = {name: str(home / output[name]) for name in FILES if _is_file(output.get(name))}
    return output | found | more


def variables_of(output: Output) -> set[str]:
    """Return the names of the environment variables that the output's templates read."""
    return set(VARIABLE.findall(f"{output}"))


def connection_name(output: Output) -> str:
    adapter = str(output["type"])
    return NAMES.get(adapter, adapter)


def connection_details(output: Output) -> Output:
    """Return the fields that are no secret, as ``hostname`` too, which is dbt Cloud's name."""
    details = {name: output[name] for name in SHOWN if name in output}
    return details | ({"hostname": output["host"]} if "host" in output else {})


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and not NO_FILE.match(value)
