"""The dbt version of a run: that of its trigger, its job or its environment.

CONTRACT.md, section 3.3, describes the fields. Each version has its own warm process, which
starts with the first run that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..settings import Settings
from .worker_process import WorkerProcess

# Release tracks of dbt Cloud, which do not name a fixed version.
TRACKS = frozenset({"latest", "compatible", "extended", "versionless"})


class EngineError(Exception):
    """The version is not installed; the message becomes the run's status message."""


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

    def choose(self, version: str, check: Callable[[], None]) -> WorkerProcess:
        """Return the process of that name, else of that minor version, else the default one.

        ``check`` raises if the run must end before a process starts. Raises EngineError if the
        version is not installed.
        """
        if worker := self._named.get(version) or self._named.get(minor_version(version) or ""):
            return worker
        if version in TRACKS:
            return self.default
        default = self._default_version(check)
        if minor_version(version) == minor_version(default):
            return self.default
        installed = sorted({default, *self._named})
        raise EngineError(
            f"dbt {version} is not installed here. Start the local dbt Cloud with --dbt-python "
            f"{minor_version(version) or version}=PATH, or choose one of: {', '.join(installed)}."
        )

    def close(self) -> None:
        for worker in (self.default, *self._named.values()):
            worker.close()

    def _default_version(self, check: Callable[[], None]) -> str:
        if self.default.dbt_version is None:
            self.default.start(check)
        return self.default.dbt_version or ""
