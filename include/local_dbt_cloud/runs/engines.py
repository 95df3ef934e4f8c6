"""The dbt version of a run: that of its trigger, its job or its environment.

CONTRACT.md, section 3.3, describes the fields. Each version has its own warm process, which
starts with the first run that needs it.
"""

from __future__ import annotations

import re

from include.local_dbt_cloud.runs.worker_process import WorkerProcess
from include.local_dbt_cloud.settings import Settings
from include.local_dbt_cloud.storage.schemas import Environment, Job, RunRequest

# Release tracks of dbt Cloud, which do not name a fixed version.
TRACKS = frozenset({"latest", "compatible", "extended", "versionless"})


class EngineError(Exception):
    """The version is not installed; the message becomes the run's status message."""


def effective_version(environment: Environment, job: Job, request: RunRequest) -> str:
    """Return the version of the trigger, else of the job, else of its environment."""
    return request.dbt_version_override or job.dbt_version or environment.dbt_version


def minor_version(version: str) -> str | None:
    """Return ``1.12`` of ``1.12.6`` and of ``1.12.0-latest``; None for other text."""
    found = re.match(r"\d+\.\d+", version)
    return found[0] if found else None


class Engines:
    """The dbt processes of one run slot."""

    def __init__(self, settings: Settings) -> None:
        self.default = WorkerProcess(settings.dbt_python, settings.data)
        self._named = {
            name: WorkerProcess(python, settings.data)
            for name, python in settings.dbt_pythons.items()
        }

    def choose(self, version: str) -> WorkerProcess:
        """Return the process of that name, else of that minor version, else the default one.

        Raises EngineError if the version is not installed.
        """
        if worker := self._named.get(version) or self._named.get(minor_version(version) or ""):
            return worker
        if version in TRACKS or minor_version(version) == minor_version(self._default_version()):
            return self.default
        installed = sorted({self._default_version(), *self._named})
        raise EngineError(
            f"dbt {version} is not installed here. Start the local dbt Cloud with --dbt-python "
            f"{minor_version(version) or version}=PATH, or choose one of: {', '.join(installed)}."
        )

    def close(self) -> None:
        for worker in (self.default, *self._named.values()):
            worker.close()

    def _default_version(self) -> str:
        if self.default.dbt_version is None:
            self.default.start()
        return self.default.dbt_version or ""
