"""The same as ``following``, for a worker: one run that has ended."""

from __future__ import annotations

from ..artifacts import command_of, read_artifact
from ..client import DbtCloudClient
from .following import DETAILS
from .progress import RunProgress, progress_of


def read_run(client: DbtCloudClient, run_id: int) -> RunProgress:
    details = client.get(f"runs/{run_id}/", include_related=DETAILS)
    steps = [step["index"] for step in details["run_steps"] if command_of(step)]
    artifacts = (read_artifact(client, run_id, "run_results.json", step) for step in steps)
    return progress_of(details, [one for one in artifacts if one])
