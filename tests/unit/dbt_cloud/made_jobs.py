"""Jobs that tests create in the local dbt Cloud, and delete afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID

PROJECT_ID, PRODUCTION = 36467, 29118


class MadeJobs:
    """Creates jobs; ``delete`` removes them all."""

    def __init__(self, server: LocalDbtCloud) -> None:
        self.server = server
        self.ids: list[int] = []

    def make(self, name: str, *steps: str, after: int | None = None, **fields: Any) -> int:
        """Create a job, which starts ``after`` another one with one of the ``statuses``."""
        condition = {"job_id": after, "project_id": PROJECT_ID}
        condition |= {"statuses": fields.pop("statuses", [10])}
        job = {
            "account_id": ACCOUNT_ID,
            "project_id": PROJECT_ID,
            "environment_id": PRODUCTION,
            "name": name,
            "execute_steps": list(steps) or ["dbt deps"],
            "job_completion_trigger_condition": {"condition": condition} if after else None,
            **fields,
        }
        answer = self.server.request("POST", "jobs/", json=job)
        assert answer.is_success, answer.text
        self.ids.append(answer.json()["data"]["id"])
        return self.ids[-1]

    def delete(self) -> None:
        for job_id in self.ids:
            self.server.request("DELETE", f"jobs/{job_id}/")


@contextmanager
def made_jobs(server: LocalDbtCloud) -> Iterator[MadeJobs]:
    jobs = MadeJobs(server)
    try:
        yield jobs
    finally:
        jobs.delete()
