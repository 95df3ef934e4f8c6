"""The state of the dbt project that a run gets, and the errors if it is not available."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.local_dbt_cloud.runs.checkout import Checkout, CheckoutError, check_out
from include.local_dbt_cloud.runs.run_folder import RunFolder
from include.local_dbt_cloud.storage.schemas import Environment, RunRequest
from tests.contract.git_project import GitProject

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
PLACE = Environment(id=1, project_id=1, name="Production")


@pytest.fixture
def project(tmp_path: Path) -> GitProject:
    return GitProject.made_in(tmp_path / "checkout")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "1")
    folder.create()
    return folder


def taken(folder: RunFolder, source: Path, **overrides: str) -> Checkout:
    request = RunRequest.model_validate({"cause": "test", **overrides})
    return check_out(folder, source, request, PLACE)


@pytest.mark.parametrize(
    ("overrides", "missing"),
    [
        ({"git_sha": "0" * 40}, "no commit 0000"),
        ({"git_sha": "--output=/tmp/x"}, "no commit --output"),
        ({"git_branch": "gone"}, "no branch gone"),
    ],
)
def test_check_out_names_a_missing_commit_or_branch(
    folder: RunFolder, project: GitProject, overrides: dict[str, str], missing: str
) -> None:
    with pytest.raises(CheckoutError, match=f"{missing}.*git fetch origin"):
        taken(folder, project.dbt_project, **overrides)


def test_check_out_rejects_a_commit_without_the_dbt_project(
    folder: RunFolder, project: GitProject
) -> None:
    sha = project.git("commit-tree", "-m", "Empty", EMPTY_TREE)

    with pytest.raises(CheckoutError, match=f"Commit {sha} has no dbt project"):
        taken(folder, project.dbt_project, git_sha=sha)


def test_check_out_keeps_symbolic_links(folder: RunFolder, project: GitProject) -> None:
    (project.dbt_project / "models" / "three.sql").symlink_to("two.sql")

    taken(folder, project.dbt_project, git_sha=project.commit())

    models = folder.project / "models"
    assert (models / "three.sql").read_text() == (models / "two.sql").read_text()


def test_check_out_of_a_shallow_clone_finds_only_its_own_commit(
    folder: RunFolder, project: GitProject, tmp_path: Path
) -> None:
    first = project.git("rev-parse", "HEAD")
    newest = project.commit()
    project.git("clone", "--quiet", "--depth=1", project.root.as_uri(), str(tmp_path / "shallow"))
    shallow = GitProject(tmp_path / "shallow")

    assert taken(folder, shallow.dbt_project, git_sha=newest).sha == newest
    with pytest.raises(CheckoutError, match=f"no commit {first}"):
        taken(folder, shallow.dbt_project, git_sha=first)


def test_check_out_finds_a_remote_branch(folder: RunFolder, project: GitProject) -> None:
    sha = project.commit_on_branch("theirs", "models/two.sql", "select 2 as id")
    project.git("update-ref", "refs/remotes/origin/theirs", sha)
    project.git("branch", "--quiet", "-D", "theirs")

    assert taken(folder, project.dbt_project, git_branch="theirs").sha == sha


def test_check_out_without_git_copies_the_folder_and_logs_the_reason(
    folder: RunFolder, tmp_path: Path
) -> None:
    source = tmp_path / "plain"
    source.mkdir()

    checkout = taken(folder, source, git_sha="abc1234")

    assert (checkout.sha, checkout.branch) == (None, None)
    assert "instead of abc1234: fatal: not a git repository" in checkout.log
    assert folder.project.is_dir()
