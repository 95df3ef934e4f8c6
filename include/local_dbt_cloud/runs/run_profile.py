"""dbt's profile of one run: a file in the run's folder, and the variables that it reads."""

from __future__ import annotations

import os
from dataclasses import dataclass

import yaml

from ..settings import Settings
from ..storage.dbt_project import DbtProject
from ..storage.profiles import Output, output_of, variables_of, with_absolute_paths
from ..storage.schemas import Job, RunRequest
from .run_folder import RunFolder
from .run_plan import RunPlan


@dataclass(frozen=True)
class RunProfile:
    """``variables`` are those of the server's own environment that the output's templates name."""

    output: Output
    variables: dict[str, str]

    @property
    def adapter(self) -> str:
        return str(self.output["type"])

    @property
    def description(self) -> str:
        schema = self.output.get("schema") or self.output.get("dataset")
        return f"schema {schema}, {self.output['threads']} threads"


def write_profile(
    folder: RunFolder, settings: Settings, project: DbtProject, plan: RunPlan
) -> RunProfile:
    """Write ``profiles.yml`` into the run's folder; raise ProfileError if there is no output.

    The path of the server's own warehouse starts at the run's project, where dbt runs: if the
    profile changed whenever the data folder moves, dbt would parse the whole project again.
    """
    output = output_of(settings, project, plan.source)
    if settings.profiles_dir is None:
        output |= {"path": os.path.relpath(settings.warehouse, folder.project)}
    attributes = with_absolute_paths(plan.extended_attributes, plan.source)
    output |= _changes(output, plan) | attributes | _overrides(output, plan)
    target = plan.request.target_name_override or plan.job.settings.target_name
    profile = {"target": target, "outputs": {target: output}}
    text = yaml.safe_dump({project.profile_name: profile}, sort_keys=False)
    (folder.path / "profiles.yml").write_text(text)
    named = variables_of(output)
    return RunProfile(output, {name: os.environ[name] for name in named if name in os.environ})


def _changes(output: Output, plan: RunPlan) -> Output:
    """Return what job and environment set."""
    schema = plan.environment.schema_name
    return {"threads": plan.job.settings.threads} | ({_schema(output): schema} if schema else {})


def _overrides(output: Output, plan: RunPlan) -> Output:
    """Return what the trigger of the run sets."""
    request = plan.request
    schema = request.schema_override or _pull_request_schema(plan.job, request)
    values = {_schema(output): schema, "threads": request.threads_override}
    return {name: value for name, value in values.items() if value}


def _schema(output: Output) -> str:
    return "dataset" if "dataset" in output else "schema"


def _pull_request_schema(job: Job, request: RunRequest) -> str | None:
    """Return a schema beside production's for a pull request; None for other runs."""
    number = request.pull_request
    return None if number is None else f"dbt_cloud_pr_{job.id}_{number}"
