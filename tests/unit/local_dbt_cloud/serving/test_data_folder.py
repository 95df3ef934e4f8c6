"""The data folder in a git checkout."""

from __future__ import annotations

from pathlib import Path

from include.local_dbt_cloud.serving.data_folder import hold


def test_data_folder_is_not_in_git_and_a_file_of_yours_stays(tmp_path: Path) -> None:
    with hold(tmp_path):
        assert (tmp_path / ".gitignore").read_text() == "*\n"
    (tmp_path / ".gitignore").write_text("# mine\n")

    with hold(tmp_path):
        assert (tmp_path / ".gitignore").read_text() == "# mine\n"
