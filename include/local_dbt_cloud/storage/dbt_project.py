"""The parts of ``dbt_project.yml`` that the server needs."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ..serving.yaml_lines import YamlError, read_yaml

FILE = "dbt_project.yml"


class DbtProjectError(Exception):
    """The folder is no dbt project; the message has the reason."""


class DbtProject(BaseModel):
    """dbt accepts a project without a profile if the command names one."""

    name: str = Field(pattern=r"^[A-Za-z_]\w*$")
    profile: str = ""

    @property
    def profile_name(self) -> str:
        return self.profile or self.name


def read_dbt_project(folder: Path) -> DbtProject:
    """Return the project in a folder; raise DbtProjectError with file, line and reason."""
    try:
        return DbtProject.model_validate(read_yaml(folder / FILE))
    except YamlError as error:
        raise DbtProjectError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise DbtProjectError(f"{folder / FILE}: {field}: {first['msg']}.") from None
