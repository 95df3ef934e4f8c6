"""Read ``jobs.yaml``: the account, projects, environments and jobs of a new database."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from ..serving.yaml_lines import line_of
from .dbt_project import DbtProject
from .jobs_as_code import as_jobs_file, is_jobs_as_code, jobs_in, template_variables
from .resources import CONNECTION_ID
from .schemas import Account, Environment, Job, JobVariable, Project, Schema


class JobsFileError(Exception):
    """``jobs.yaml`` is invalid; the message has file, line and reason."""


def checked_command_line(text: str) -> str:
    """Return the text unchanged; raise ValueError if it is not a command line."""
    if text and not shlex.split(text):
        raise ValueError("is not a command")
    return text


class JobsFile(Schema):
    """``before_runs`` prepares a new warehouse, ``variables`` are those of single jobs."""

    account: Account
    before_runs: Annotated[str, AfterValidator(checked_command_line)] = ""
    projects: list[Project]
    environments: list[Environment]
    jobs: list[Job]
    variables: list[JobVariable] = Field(default_factory=list)

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

    @model_validator(mode="after")
    def with_connections(self) -> Self:
        """Give each environment the one connection, unless it names another."""
        for environment in self.environments:
            environment.connection_id = environment.connection_id or CONNECTION_ID
        return self

    @model_validator(mode="after")
    def check_variables(self) -> Self:
        """Raise ValueError unless each variable has a job."""
        jobs = {job.id for job in self.jobs}
        for variable in self.variables:
            if variable.job_id not in jobs:
                raise ValueError(f"variable {variable.name}: job_id does not exist")
        return self


def one_job_each(projects: Mapping[int, DbtProject]) -> JobsFile:
    """Return the content for dbt projects without a jobs file: one job each, ``dbt build``.

    Args:
        projects: By id, which is also that of environment and job. If there are several, each has a
            schema with its name.
    """
    command = "dbt build"
    return JobsFile(
        account=Account(id=1, name="Local dbt Cloud"),
        projects=[Project(id=one, name=project.name) for one, project in projects.items()],
        environments=[
            Environment(
                id=one,
                project_id=one,
                name="Production",
                deployment_type="production",
                schema=project.name if len(projects) > 1 else "",
            )
            for one, project in projects.items()
        ],
        jobs=[
            Job(id=one, project_id=one, environment_id=one, name=command, execute_steps=[command])
            for one in projects
        ],
    )


def read_jobs_file(path: Path) -> JobsFile:
    """Return the checked content; raise JobsFileError with file, line and reason.

    A file of dbt-jobs-as-code is accepted too.
    """
    try:
        text = path.read_text()
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
        names: list[str] = []
        if is_jobs_as_code(content):
            refuse_template(path, text)
            jobs = jobs_in(content)
            names, content = list(jobs), as_jobs_file(jobs)
        return JobsFile.model_validate(content, extra="forbid")
    except OSError as error:
        raise JobsFileError(f"{path.name} cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        refuse_template(path, text)
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise JobsFileError(f"{path.name}, line {line}: {error.problem}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = in_jobs_as_code(first["loc"], names) if names else first["loc"]
        field = ".".join(map(str, place)) or "the file"
        line = line_of(root, place)
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise JobsFileError(f"{path.name}, line {line}: {field}: {reason}.") from None
    except ValueError as error:
        raise JobsFileError(f"{path.name}: {error}.") from None


def refuse_template(path: Path, text: str) -> None:
    """Raise JobsFileError for a file whose values are in another one."""
    if "jobs:" in text and (variables := template_variables(text)):
        raise JobsFileError(
            f"{path.name} is a template: write the values of {', '.join(sorted(variables))} "
            "into a copy, and pass that with --jobs."
        )


def in_jobs_as_code(place: tuple[int | str, ...], names: list[str]) -> tuple[int | str, ...]:
    """Return the place of a job by its identifier, not by its number."""
    match place:
        case ("jobs", int(number), *rest):
            return ("jobs", names[number], *rest)
    return place
