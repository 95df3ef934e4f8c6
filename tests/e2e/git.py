"""git in the copy of the repository."""

from __future__ import annotations

import subprocess

from tests.contract.git_project import IDENTITY
from tests.e2e.project import Project


def git(project: Project, *arguments: str) -> str:
    command = ["git", "-C", str(project.root), *IDENTITY, *arguments]
    return subprocess.check_output(command, text=True).strip()
