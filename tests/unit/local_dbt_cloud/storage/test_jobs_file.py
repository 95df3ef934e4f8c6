"""``jobs.yaml`` is read, and errors name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.local_dbt_cloud.storage.jobs_file import JobsFileError, read_jobs_file
from tests.bundled import JOBS_FILE


def test_shipped_jobs_file_defines_the_jobs_of_the_dags() -> None:
    jobs = {job.id: job.name for job in read_jobs_file(JOBS_FILE).jobs}
    assert jobs[65767] == "Daily build"
    assert jobs[30605] == "Build after load"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      - dbt build", "      - rm -rf /", "jobs.0.execute_steps.0: .* not a dbt command"),
        ("  run_slots: 1", "  run_slots: many", "account.run_slots: "),
        ("    name: Production", "    name: a: b", "mapping values are not allowed"),
    ],
)
def test_read_jobs_file_reports_the_line_of_a_mistake(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = JOBS_FILE.read_text()
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(JobsFileError, match=rf"^jobs\.yaml, line {line}: {message}"):
        read_jobs_file(changed(tmp_path, old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  - id: 30605", "  - id: 65767", "id 65767 is used twice"),
        ("    environment_id: 29118", "    environment_id: 1", "job 65767: environment_id"),
        ("    name: Production", "    nam: Production", "environments.0.nam"),
        ("before_runs: python -m", 'before_runs: "\'python -m" #', "before_runs: .*quotation"),
        ("before_runs: python -m", 'before_runs: " " #', "before_runs: .*is not a command"),
    ],
)
def test_read_jobs_file_rejects_inconsistent_entries(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(JobsFileError, match=message):
        read_jobs_file(changed(tmp_path, old, new))


def changed(folder: Path, old: str, new: str) -> Path:
    """Return a copy of the shipped file with one change."""
    text = JOBS_FILE.read_text()
    assert old in text
    path = folder / "jobs.yaml"
    path.write_text(text.replace(old, new, 1))
    return path
