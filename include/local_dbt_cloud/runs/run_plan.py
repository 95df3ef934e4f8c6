"""What a run does, as it was stored at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from ..settings import Settings
from ..storage.commands import parse_command
from ..storage.dbt_project import DbtProjectError, read_dbt_project
from ..storage.profiles import ProfileError, connection_name, output_of
from ..storage.resources import extended_attributes_of
from ..storage.schemas import Environment, Job, RunRequest
from ..storage.tables import ProjectRow, RunRow
from ..storage.variables import environment_of_job
from .retries import failed_index, plan_of
from .run_folder import RunFolder
from .steps import Step


@dataclass(frozen=True)
class RunPlan:
    """``source`` is the folder of the dbt project; ``resumed`` has artifacts that a retry needs."""

    job: Job
    request: RunRequest
    environment: Environment
    variables: dict[str, str]
    extended_attributes: dict[str, Any]
    source: Path
    steps: list[Step]
    resumed: Path | None

    def arguments(self, step: Step) -> list[str]:
        """Return dbt's arguments for a step; empty if dbt does not run it."""
        if step.resumes and self.resumed:
            return ["retry", "--state", str(self.resumed)]
        return parse_command(step.command) if step.command else []


def load_plan(session: Session, run_id: int, settings: Settings) -> RunPlan:
    """Return the plan of a stored run."""
    run = session.get_one(RunRow, run_id)
    project = session.get_one(ProjectRow, run.project_id).definition
    source = settings.folder_of(run.project_id, project["dbt_project_subdirectory"])
    resumed = None
    if run.retrying_run_id is not None:
        previous = session.get_one(RunRow, run.retrying_run_id)
        resumed = RunFolder(settings.runs / str(previous.id)).artifacts(failed_index(previous))
    return RunPlan(
        job=run.job_settings,
        request=RunRequest.model_validate(run.trigger),
        environment=Environment.model_validate(run.environment.definition),
        variables=environment_of_job(session, run.job),
        extended_attributes=extended_attributes_of(session, run.environment),
        source=source,
        steps=plan_of(session, run, name_of_connection(settings, source)),
        resumed=resumed,
    )


def name_of_connection(settings: Settings, folder: Path) -> str:
    """Return the connection's name; empty if a file has a mistake, which the run will report."""
    try:
        return connection_name(output_of(settings, read_dbt_project(folder), folder))
    except (DbtProjectError, ProfileError):
        return ""
