"""The files of one run: its project, its profile, and logs and artifacts per step."""

from __future__ import annotations

import shutil
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

# Files that dbt leaves in a project folder and a run must not inherit.
LEFTOVERS = shutil.ignore_patterns("target", "logs", "dbt_packages", ".user.yml", "__pycache__")
PARSE_CACHE = "partial_parse.msgpack"
NOT_ARTIFACTS = frozenset({PARSE_CACHE, "graph.gpickle"})


@dataclass(frozen=True)
class RunFolder:
    """``runs/<id>/``; everything that a run writes is below it."""

    path: Path

    @property
    def project(self) -> Path:
        return self.path / "project"

    @property
    def target(self) -> Path:
        """Return the folder that dbt writes into during the run."""
        return self.path / "target"

    @property
    def parse_cache(self) -> Path:
        return self.target / PARSE_CACHE

    @property
    def state(self) -> Path:
        """Return the folder with the state of the deferred run."""
        return self.path / "state"

    def step(self, index: int) -> Path:
        return self.path / "steps" / str(index)

    def artifacts(self, index: int) -> Path:
        """Return the folder with a copy of ``target`` from the end of step ``index``."""
        return self.step(index) / "artifacts"

    def create(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self.target.mkdir(parents=True)

    def copy_project(self, source: Path) -> None:
        """Copy the folder without dbt's leftovers, and without this server's data inside it."""
        data = self.path.parents[1].resolve()

        def ignored(folder: str, names: list[str]) -> set[str]:
            own = {name for name in names if (Path(folder) / name).resolve() == data}
            return own | LEFTOVERS(folder, names)

        shutil.copytree(source, self.project, ignore=ignored)

    def open_step(self, index: int) -> None:
        self.step(index).mkdir(parents=True)

    def write_log(self, index: int, text: str) -> None:
        """Write both logs of a step that dbt does not run."""
        for name in ("logs.txt", "debug_logs.txt"):
            (self.step(index) / name).write_text(text)

    def append_log(self, index: int, line: str) -> None:
        for name in ("logs.txt", "debug_logs.txt"):
            with (self.step(index) / name).open("a") as log:
                log.write(f"{line}\n")

    def dbt_environment(self, index: int) -> dict[str, str]:
        """Return the variables that keep dbt inside the run's folder."""
        return {
            "DBT_PROJECT_DIR": str(self.project),
            "DBT_PROFILES_DIR": str(self.path),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.step(index)),
        }

    def read_log(self, index: int, name: str) -> str | None:
        """Return a step's ``logs.txt`` or ``debug_logs.txt``; None if the folder was removed."""
        try:
            return (self.step(index) / name).read_text(errors="replace")
        except OSError:
            return None

    def keep_artifacts(self, index: int) -> bool:
        """Copy ``target`` for step ``index``; return False if it is empty."""
        shutil.copytree(self.target, self.artifacts(index), ignore=_not_artifacts)
        return any(self.artifacts(index).iterdir())

    def close(self) -> None:
        """Delete ``target``; the steps have copies of its files."""
        shutil.rmtree(self.target, ignore_errors=True)

    def newest_artifacts(self, name: str) -> Path | None:
        """Return the artifacts of the last step that has a file of this name."""
        found = (path.parent for path in self.path.glob(f"steps/*/artifacts/{name}"))
        return max(found, key=lambda path: int(path.parent.name), default=None)

    def list_artifacts(self, index: int) -> list[str]:
        """Return the paths of the step's files, relative to ``target``."""
        root = self.artifacts(index)
        return sorted(
            path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
        )

    def artifact(self, index: int, name: str) -> Path | None:
        """Return the file; None if it is missing or ``name`` leads out of the step's artifacts."""
        root = self.artifacts(index).resolve()
        try:
            path = (root / name).resolve()
            return path if path.is_relative_to(root) and path.is_file() else None
        except (OSError, ValueError):  # a name too long, or with a null byte
            return None


def _not_artifacts(folder: str, names: list[str]) -> set[str]:
    """Return the names to leave out; links too, as they may lead out of the run's folder."""
    return {name for name in names if name in NOT_ARTIFACTS or Path(folder, name).is_symlink()}


def remove_old_runs(runs: Path, keep: int, active: Container[int]) -> None:
    """Remove all but the newest ``keep`` run folders; the runs themselves stay listed.

    The folder of an ``active`` run is kept, however many newer runs have ended.
    """
    run_ids = sorted(int(path.name) for path in runs.iterdir() if path.name.isdigit())
    for run_id in run_ids[:-keep]:
        if run_id not in active:
            shutil.rmtree(runs / str(run_id), ignore_errors=True)
