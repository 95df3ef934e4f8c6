"""A dbt project of two models in its own git checkout."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ONE, TWO = "select 1 as id\n", "select id, 'main' as made_by from {{ ref('one') }}\n"
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com")


@dataclass(frozen=True)
class GitProject:
    """``root`` is the checkout; the dbt project is below it, as in this repository."""

    root: Path

    @classmethod
    def made_in(cls, root: Path) -> GitProject:
        if shutil.which("git") is None:
            pytest.skip("needs git")
        root.mkdir(exist_ok=True)
        project = cls(root)
        project.write("dbt_project.yml", "name: small\nversion: '1.0'\nprofile: small\n")
        project.write("models/one.sql", ONE)
        project.write("models/two.sql", TWO)
        project.git("init", "--quiet", "--initial-branch=main")
        project.commit()
        return project

    @property
    def dbt_project(self) -> Path:
        return self.root / "transform"

    def write(self, name: str, text: str) -> None:
        path = self.dbt_project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *IDENTITY, *arguments]
        return subprocess.check_output(command, text=True).strip()

    def commit(self) -> str:
        """Commit all files; return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=A state")
        return self.git("rev-parse", "HEAD")

    def commit_on_branch(self, branch: str, name: str, text: str) -> str:
        """Commit a changed file on a new branch; return its id. main stays checked out."""
        self.git("switch", "--quiet", "--force-create", branch, "main")
        self.write(name, text)
        sha = self.commit()
        self.git("switch", "--quiet", "main")
        return sha
