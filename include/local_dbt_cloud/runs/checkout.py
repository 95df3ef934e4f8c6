"""The dbt project of a run: a commit of its git checkout, or the folder as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..storage.schemas import Environment, RunRequest
from .run_folder import RunFolder

GIT_SECONDS = 60.0
FOLDER = "Copied the dbt project {source} as it is in the folder{why}.\n"
COMMIT = "Checked out commit {sha} of {source}.\n"


class CheckoutError(Exception):
    """The commit or branch is not available; the message goes into the run's log."""


@dataclass(frozen=True)
class Checkout:
    """``branch`` and ``sha`` are None if the folder was copied as it is."""

    log: str
    branch: str | None = None
    sha: str | None = None


def check_out(
    folder: RunFolder, source: Path, request: RunRequest, environment: Environment
) -> Checkout:
    """Copy the requested state of the dbt project into the run's folder.

    The checkout is only read: its branch and its uncommitted changes stay.
    Raises CheckoutError if git has no such commit or branch.
    """
    custom_branch = environment.custom_branch if environment.use_custom_branch else None
    branch = request.git_branch or (None if request.git_sha else custom_branch)
    revision = request.git_sha or branch
    obstacle = _checkout_obstacle(source) if revision else ""
    if not revision or obstacle:
        folder.copy_project(source)
        why = f" instead of {revision}: {obstacle}" if obstacle else ""
        return Checkout(FOLDER.format(source=source, why=why))
    sha = _commit(source, request.git_sha, branch)
    _unpack(folder, source, sha)
    return Checkout(COMMIT.format(source=source, sha=sha), branch, sha)


def _commit(source: Path, sha: str | None, branch: str | None) -> str:
    """Return the full id of the commit, or of the branch's newest local commit."""
    names = [sha] if sha else [f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"]
    for name in names:
        found = _git(source, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if found.returncode == 0:
            return found.stdout.strip()
    what = f"commit {sha}" if sha else f"branch {branch}"
    raise CheckoutError(
        f"The git checkout of {source} has no {what}. Fetch it first, for example with"
        f" `git fetch origin {sha or branch}`; fetch commits of a fork from the fork."
    )


def _unpack(folder: RunFolder, source: Path, sha: str) -> None:
    """Unpack the commit with tar, which supports symbolic links.

    With ``-m``, files get the current time: dbt skips files whose time has not changed.
    """
    archive = folder.path / "project.tar"
    folder.project.mkdir()
    made = _git(source, "archive", f"--output={archive}", sha)
    if made.returncode == 0:
        subprocess.run(["tar", "-xmf", archive, "-C", folder.project], check=True)
        archive.unlink()
    if not (folder.project / "dbt_project.yml").exists():
        raise CheckoutError(f"Commit {sha} has no dbt project in {source}. {made.stderr}".strip())


def _checkout_obstacle(source: Path) -> str:
    """Return why git cannot read the project's checkout; empty if it can."""
    if shutil.which("git") is None:
        return "git is not installed"
    return _git(source, "rev-parse", "--git-dir").stderr.strip()


def _git(source: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git without its own variables: in a git hook they point to another checkout."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", source, *arguments],
        env=variables | {"GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        timeout=GIT_SECONDS,
    )
