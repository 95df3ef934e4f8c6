"""``airflow_settings.yaml``: connections, pools and variables, in the Astro CLI's format.

The CLI ignores a malformed file. The launcher stops with the line and reason of each mistake.
Format and rules: https://www.astronomer.io/docs/astro/cli/develop-project
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_variable import is_object
from include.local_dbt_cloud.serving.yaml_lines import line_of

NAME = "airflow_settings.yaml"

# Messages for pydantic's error types.
REASONS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "extra_forbidden": "unknown key",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list, with a dash before each entry",
    "model_type": "must be a mapping",
    "string_type": "must be text or a number",
}


class _Loader(yaml.SafeLoader):
    """Load dates, and words such as ``on`` and ``yes``, as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, words) for tag, words in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$", re.I), "tTfF")


def _as_text(value: object) -> object:
    """Convert a YAML value as the CLI does: ``16173`` to text, an empty entry to ``""``."""
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, bool) else value


def _as_json(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


Text = Annotated[str, BeforeValidator(_as_text)]
Number = Annotated[int, BeforeValidator(lambda value: value or 0)]
Flag = Annotated[bool, BeforeValidator(lambda value: value or False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class ConnectionSettings(_Strict):
    """One connection; ``conn_uri`` counts only if all other fields are empty."""

    conn_id: Text = ""
    conn_type: Text = ""
    conn_host: Text = ""
    conn_schema: Text = ""
    conn_login: Text = ""
    conn_password: Text = ""
    conn_port: Number = 0
    conn_uri: Text = ""
    conn_extra: dict[str, Any] | str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> ConnectionSettings:
        # The CLI's scaffold has an empty entry with an example in conn_extra.
        if not self.conn_id and self.model_dump(exclude={"conn_extra"}, exclude_defaults=True):
            raise ValueError("conn_id is missing")
        if self.conn_id and not (self.conn_type or self.conn_uri):
            raise ValueError("conn_type or conn_uri is missing")
        if self.extra and not is_object(self.extra):
            raise ValueError("conn_extra is not a JSON object")
        return self

    @property
    def extra(self) -> str | None:
        """Return the extra as JSON text."""
        if isinstance(self.conn_extra, dict):
            return json.dumps(self.conn_extra)
        return self.conn_extra or None


class PoolSettings(_Strict):
    """One pool; ``pool_slot`` is its number of slots."""

    pool_name: Text = ""
    pool_slot: Number = 0
    pool_description: Text = ""
    pool_include_deferred: Flag = False

    @model_validator(mode="after")
    def _is_complete(self) -> PoolSettings:
        if self.pool_name and not self.pool_slot:
            raise ValueError("pool_slot is missing")
        if not self.pool_name and self.pool_slot:
            raise ValueError("pool_name is missing")
        return self


class VariableSettings(_Strict):
    """One Airflow Variable; without a value it is ignored, as in the CLI.

    A mapping or list becomes JSON, for ``Variable.get(…, deserialize_json=True)``.
    """

    variable_name: Text = ""
    variable_value: Annotated[Text, BeforeValidator(_as_json)] = ""

    @model_validator(mode="after")
    def _is_complete(self) -> VariableSettings:
        if not self.variable_name and self.variable_value:
            raise ValueError("variable_name is missing")
        return self


def _list(value: object) -> object:
    return [] if value is None else value


class AirflowSettings(_Strict):
    """The content of the file."""

    connections: Annotated[list[ConnectionSettings], BeforeValidator(_list)] = Field(default=[])
    pools: Annotated[list[PoolSettings], BeforeValidator(_list)] = Field(default=[])
    variables: Annotated[list[VariableSettings], BeforeValidator(_list)] = Field(default=[])


class _File(_Strict):
    airflow: Annotated[
        AirflowSettings, BeforeValidator(lambda value: {} if value is None else value)
    ] = AirflowSettings()


def read_settings(file: Path) -> AirflowSettings:
    """Return the settings, without the empty entries of the CLI's scaffold.

    Raises:
        LaunchError: the file is not valid; the message has the line and reason of each mistake.
    """
    if not file.exists():
        return AirflowSettings()
    try:
        text = file.read_text(encoding="utf-8")
        settings = _File.model_validate(yaml.load(text, _Loader) or {}).airflow
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _malformed(file, [(line, error.problem or "not YAML")]) from error
    except ValidationError as error:
        root = yaml.compose(text, _Loader)
        mistakes = [(line_of(root, each["loc"]), _reason(each)) for each in error.errors()]
        raise _malformed(file, mistakes) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _malformed(file, [(1, "not YAML text")]) from error
    return AirflowSettings(
        connections=[each for each in settings.connections if each.conn_id],
        pools=[each for each in settings.pools if each.pool_name],
        variables=[e for e in settings.variables if e.variable_name and e.variable_value],
    )


def _reason(error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
    reason = REASONS.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"{where}: {reason}" if where else reason


def _malformed(file: Path, mistakes: list[tuple[int, str]]) -> LaunchError:
    listed = "".join(f"\n  line {line}: {reason}" for line, reason in sorted(mistakes))
    return LaunchError(f"{file.name} cannot be used: correct it and start again.{listed}")
