"""A run's files stay in its folder."""

from __future__ import annotations

from pathlib import Path

from include.local_dbt_cloud.runs.run_folder import RunFolder, remove_old_runs


def test_keep_artifacts_ignores_links_in_target(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("outside")
    folder = RunFolder(tmp_path / "runs" / "1")
    folder.create()
    (folder.target / "manifest.json").write_text("{}")
    (folder.target / "link.txt").symlink_to(secret)
    (folder.target / "gone.txt").symlink_to(tmp_path / "missing")
    (folder.target / "folder").symlink_to(tmp_path)
    folder.open_step(1)
    assert folder.keep_artifacts(1)
    assert folder.list_artifacts(1) == ["manifest.json"]
    assert folder.artifact(1, "link.txt") is None


def test_copied_project_has_no_data_folder_and_no_leftovers(tmp_path: Path) -> None:
    source, data = tmp_path / "project", tmp_path / "project" / ".local_dbt_cloud"
    (source / "models").mkdir(parents=True)
    (source / "logs").mkdir()
    (source / "models" / "a.sql").touch()
    folder = RunFolder(data / "runs" / "1")
    folder.create()
    (data / "ca-key.pem").touch()

    folder.copy_project(source)

    assert [path.name for path in sorted(folder.project.rglob("*"))] == ["models", "a.sql"]


def test_artifact_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("outside")
    folder = RunFolder(tmp_path / "runs" / "1")
    folder.artifacts(1).mkdir(parents=True)
    (folder.artifacts(1) / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert folder.artifact(1, "link.txt") is None


def test_remove_old_runs_keeps_the_newest_and_active_runs(tmp_path: Path) -> None:
    for name in ("9", "10", "11", "12", "not-a-run"):
        (tmp_path / name).mkdir()
    remove_old_runs(tmp_path, 1, active={10})
    assert {path.name for path in tmp_path.iterdir()} == {"10", "12", "not-a-run"}
