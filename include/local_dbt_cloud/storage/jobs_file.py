"""Read ``jobs.yaml``: the account, projects, environments and jobs of a new database."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import yaml
from pydantic import ValidationError, model_validator

from include.local_dbt_cloud.serving.yaml_lines import line_of
from include.local_dbt_cloud.storage.schemas import Account, Environment, Job, Project, Schema


class JobsFileError(Exception):
    """``jobs.yaml`` is invalid; the message has file, line and reason."""


class JobsFile(Schema):
    account: Account
    projects: list[Project]
    environments: list[Environment]
    jobs: list[Job]

    @model_validator(mode="after")
    def check_references(self) -> Self:
        """Raise ValueError unless ids are unique and references exist."""
        projects = {project.id for project in self.projects}
        homes = {environment.id: environment.project_id for environment in self.environments}
        for entries in (self.projects, self.environments, self.jobs):
            ids = [entry.id for entry in entries]
            if duplicates := {one for one in ids if ids.count(one) > 1}:
                raise ValueError(f"id {min(duplicates)} is used twice")
        for environment in self.environments:
            if environment.project_id not in projects:
                raise ValueError(f"environment {environment.id}: project_id does not exist")
        for job in self.jobs:
            if homes.get(job.environment_id) != job.project_id:
                raise ValueError(f"job {job.id}: environment_id is not one of its project's")
            if job.deferring_environment_id not in {None, *homes}:
                raise ValueError(f"job {job.id}: deferring_environment_id does not exist")
            if job.deferring_job_definition_id not in {None, *(one.id for one in self.jobs)}:
                raise ValueError(f"job {job.id}: deferring_job_definition_id does not exist")
        return self


def read_jobs_file(path: Path) -> JobsFile:
    """Return the checked content; raise JobsFileError with file, line and reason."""
    try:
        text = path.read_text()
        root = yaml.compose(text, yaml.SafeLoader)
        return JobsFile.model_validate(yaml.safe_load(text), extra="forbid")
    except OSError as error:
        raise JobsFileError(f"{path.name} cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise JobsFileError(f"{path.name}, line {line}: {error.problem}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        line = line_of(root, first["loc"])
        raise JobsFileError(f"{path.name}, line {line}: {field}: {first['msg']}.") from None
