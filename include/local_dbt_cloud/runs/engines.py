"""Which dbt runs a job: the version that its trigger, job or environment names.

CONTRACT.md, section 3.3, says where they stand. Each version is a warm process of its own, which
starts with the first run that needs it.
"""

from __future__ import annotations

import re

from include.local_dbt_cloud.runs.worker_process import WorkerProcess
from include.local_dbt_cloud.settings import Settings
from include.local_dbt_cloud.storage.schemas import Environment, Job, RunRequest

# Names of dbt Cloud that do not say which version they are today.
TRACKS = frozenset({"latest", "compatible", "extended", "versionless"})


class EngineError(Exception):
    """The version is not installed; the message is for the run."""


def wanted_version(environment: Environment, job: Job, request: RunRequest) -> str:
    """Return what the trigger says, or else the job, or else its environment."""
    return request.dbt_version_override or job.dbt_version or environment.dbt_version


def number(version: str) -> str | None:
    """Return ``1.12`` of ``1.12.6`` and of ``1.12.0-latest``; None if it begins otherwise."""
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
        """Return the process for a version: of its name, of its number, or the default's.

        Raises EngineError if none is installed.
        """
        if worker := self._named.get(version) or self._named.get(number(version) or ""):
            return worker
        if version in TRACKS or number(version) == number(self._default_version()):
            return self.default
        installed = sorted({self._default_version(), *self._named})
        raise EngineError(
            f"dbt {version} is not installed here. Start the local dbt Cloud with --dbt-python "
            f"{number(version) or version}=PATH, or choose one of: {', '.join(installed)}."
        )

    def close(self) -> None:
        for worker in (self.default, *self._named.values()):
            worker.close()

    def _default_version(self) -> str:
        if self.default.dbt_version is None:
            self.default.start()
        return self.default.dbt_version or ""
