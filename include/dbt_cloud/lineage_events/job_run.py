"""The events of one dbt Cloud run: its start and end, and between them those of its nodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status
from openlineage.client.constants import DEFAULT_PRODUCER as PRODUCER
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    documentation_job,
    error_message_run,
    job_type_job,
    tags_job,
    tags_run,
)
from openlineage.client.uuid import generate_static_uuid
from openlineage.common.provider.dbt.facets import ParentRunMetadata

from ..api.artifacts import built_steps, read_artifact
from ..api.client import DbtCloudClient
from .nodes import Step, events_of_step

SOURCE = "DBT_CLOUD"  # of tags
ENDINGS = {
    Status.SUCCESS.value: RunState.COMPLETE,
    Status.ERROR.value: RunState.FAIL,
    Status.CANCELLED.value: RunState.ABORT,
}
log = logging.getLogger(__name__)


def events_of_run(
    client: DbtCloudClient,
    run: dict[str, Any],
    job_namespace: str,
    parent: dict[str, Any] | None = None,
    namespace: str = "",
) -> list[RunEvent]:
    """Return all events of a finished run, in the order of dbt's times.

    Args:
        client: The client of the run's account.
        run: The run with its steps, job and trigger.
        job_namespace: The namespace of all jobs.
        parent: The fields of ``ParentRunMetadata`` of the task that started the run.
        namespace: The namespace of all datasets, by default from the project's connection.
    """
    job_run = JobRun(run, job_namespace, ParentRunMetadata(**parent) if parent else None)
    nodes = [
        event
        for step in steps_of(client, run)
        for event in events_of_step(step, job_run.as_parent(), namespace)
    ]
    nodes.sort(key=lambda event: moment(event.eventTime))
    return [job_run.start, *nodes, job_run.end]


def steps_of(client: DbtCloudClient, run: dict[str, Any]) -> Iterator[Step]:
    """Yield the steps that ran nodes; skip and log those that cannot be read."""
    project = client.get(f"projects/{run['project_id']}/") if run["run_steps"] else {}
    has_docs = run.get("has_docs_generated")
    catalog = read_artifact(client, run["id"], "catalog.json") if has_docs else None
    for index, command, results in built_steps(client, run):
        manifest = read_artifact(client, run["id"], "manifest.json", index)
        if manifest is None:
            log.warning("Run %s, step %s has no manifest: no events of nodes.", run["id"], index)
            continue
        yield Step(run["account_id"], project, command, manifest, results, catalog)


@dataclass(frozen=True)
class JobRun:
    """A dbt Cloud run in OpenLineage.

    Its id is the same whenever and by whoever it is computed, since it is of dbt Cloud's data.
    """

    run: dict[str, Any]
    namespace: str
    parent: ParentRunMetadata | None

    @property
    def name(self) -> str:
        return f"dbt-cloud-job-{self.run['job_definition_id']}"

    @cached_property
    def run_id(self) -> str:
        created = datetime.fromisoformat(self.run["created_at"])
        return str(generate_static_uuid(created, self.run["href"].encode()))

    def as_parent(self) -> ParentRunMetadata:
        """Return this run as the parent of its nodes."""
        top = self.parent
        return ParentRunMetadata(
            run_id=self.run_id,
            job_name=self.name,
            job_namespace=self.namespace,
            root_parent_run_id=top.root_parent_run_id if top else self.run_id,
            root_parent_job_name=top.root_parent_job_name if top else self.name,
            root_parent_job_namespace=top.root_parent_job_namespace if top else self.namespace,
        )

    @property
    def start(self) -> RunEvent:
        return self._event(RunState.START, self.run["started_at"] or self.run["created_at"])

    @property
    def end(self) -> RunEvent:
        return self._event(ENDINGS[self.run["status"]], self.run["finished_at"])

    def _event(self, state: RunState, at: str) -> RunEvent:
        facets: dict[str, Any] = {"tags": tags_run.TagsRunFacet(tags=self._run_tags())}
        if self.parent:
            facets["parent"] = self.parent.to_openlineage()
        message = self.run.get("status_message")
        if state in (RunState.FAIL, RunState.ABORT) and message:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "dbt")
        return RunEvent(
            eventType=state,
            eventTime=moment(at).isoformat(),
            run=Run(self.run_id, facets),
            job=Job(self.namespace, self.name, self._job_facets()),
            producer=PRODUCER,
        )

    def _run_tags(self) -> list[tags_run.TagsRunFacetFields]:
        tags = {"dbt_cloud_run_id": self.run["id"], "dbt_cloud_run_url": self.run["href"]}
        return [tags_run.TagsRunFacetFields(key, str(tags[key]), SOURCE) for key in tags]

    def _job_facets(self) -> dict[str, Any]:
        ids = {
            "dbt_cloud_account_id": self.run["account_id"],
            "dbt_cloud_project_id": self.run["project_id"],
            "dbt_cloud_environment_id": self.run["environment_id"],
            "dbt_cloud_job_id": self.run["job_definition_id"],
        }
        tags = [tags_job.TagsJobFacetFields(key, str(ids[key]), SOURCE) for key in ids]
        title = (self.run.get("job") or {}).get("name") or self.name
        return {
            "jobType": job_type_job.JobTypeJobFacet("BATCH", "DBT", jobType="JOB"),
            "tags": tags_job.TagsJobFacet(tags=tags),
            "documentation": documentation_job.DocumentationJobFacet(description=title),
        }


def moment(time: str) -> datetime:
    """Return a time of dbt or dbt Cloud, which write it with a blank, ``T``, ``Z`` or offset."""
    return datetime.fromisoformat(time)
