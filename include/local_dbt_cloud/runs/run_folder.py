"""The files of one run: the project it built, its profile, and per step logs and artifacts."""

from __future__ import annotations

import shutil
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

# What dbt leaves in a project folder and a run must not inherit.
LEFTOVERS = shutil.ignore_patterns("target", "logs", "dbt_packages", ".user.yml", "__pycache__")
PARSE_CACHE = "partial_parse.msgpack"
NOT_ARTIFACTS = frozenset({PARSE_CACHE, "graph.gpickle"})


@dataclass(frozen=True)
class RunFolder:
    """``runs/<id>/``; everything a run writes is below it."""

    path: Path

    @property
    def project(self) -> Path:
        return self.path / "project"

    @property
    def target(self) -> Path:
        """Where dbt writes while the run is going on."""
        return self.path / "target"

    @property
    def parse_cache(self) -> Path:
        return self.target / PARSE_CACHE

    @property
    def state(self) -> Path:
        """What the run that this one defers to has left."""
        return self.path / "state"

    def step(self, index: int) -> Path:
        return self.path / "steps" / str(index)

    def artifacts(self, index: int) -> Path:
        """What ``target`` held when step ``index`` ended."""
        return self.step(index) / "artifacts"

    def create(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self.target.mkdir(parents=True)

    def copy_project(self, source: Path) -> None:
        shutil.copytree(source, self.project, ignore=LEFTOVERS)

    def open_step(self, index: int) -> None:
        self.step(index).mkdir(parents=True)

    def write_log(self, index: int, text: str) -> None:
        """For steps that dbt does not run: one text is both kinds of log."""
        for name in ("logs.txt", "debug_logs.txt"):
            (self.step(index) / name).write_text(text)

    def append_log(self, index: int, line: str) -> None:
        for name in ("logs.txt", "debug_logs.txt"):
            with (self.step(index) / name).open("a") as log:
                log.write(f"{line}\n")

    def dbt_environment(self, index: int) -> dict[str, str]:
        """Keeps dbt inside the run's folder."""
        return {
            "DBT_PROJECT_DIR": str(self.project),
            "DBT_PROFILES_DIR": str(self.path),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.step(index)),
        }

    def read_log(self, index: int, name: str) -> str | None:
        """A step's ``logs.txt`` or ``debug_logs.txt``; None once the folder was cleaned up."""
        try:
            return (self.step(index) / name).read_text(errors="replace")
        except OSError:
            return None

    def keep_artifacts(self, index: int) -> bool:
        """Copies ``target`` for step ``index``; False if there is nothing in it."""
        shutil.copytree(self.target, self.artifacts(index), ignore=_not_artifacts)
        return any(self.artifacts(index).iterdir())

    def close(self) -> None:
        """The steps hold what is worth keeping of ``target``."""
        shutil.rmtree(self.target, ignore_errors=True)

    def newest_artifacts(self, name: str) -> Path | None:
        """The artifacts of the last step that left a file of this name."""
        found = (path.parent for path in self.path.glob(f"steps/*/artifacts/{name}"))
        return max(found, key=lambda path: int(path.parent.name), default=None)

    def list_artifacts(self, index: int) -> list[str]:
        """Paths of the files that step ``index`` left, as ``target`` had them."""
        root = self.artifacts(index)
        return sorted(
            path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
        )

    def artifact(self, index: int, name: str) -> Path | None:
        """The file, or None if there is none or ``name`` leads out of the step's artifacts."""
        root = self.artifacts(index).resolve()
        try:
            path = (root / name).resolve()
            return path if path.is_relative_to(root) and path.is_file() else None
        except (OSError, ValueError):  # a name too long, or with a null byte
            return None


def _not_artifacts(folder: str, names: list[str]) -> set[str]:
    """Links too: what they lead to may be outside the run's folder."""
    return {name for name in names if name in NOT_ARTIFACTS or Path(folder, name).is_symlink()}


def remove_old_runs(runs: Path, keep: int, at_work: Container[int]) -> None:
    """Removes all but the newest ``keep`` run folders; the runs themselves stay listed.

    The folder of a run that is ``at_work`` stays, however many newer ones have ended.
    """
    run_ids = sorted(int(path.name) for path in runs.iterdir() if path.name.isdigit())
    for run_id in run_ids[:-keep]:
        if run_id not in at_work:
            shutil.rmtree(runs / str(run_id), ignore_errors=True)
