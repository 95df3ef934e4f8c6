"""Mistakes in projects, jobs, profiles and dbt that prevent a start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from include.local_dbt_cloud.command_line import parse_settings
from include.local_dbt_cloud.serving.https_server import StartError
from include.local_dbt_cloud.start_checks import (
    RUN_SLOTS,
    checked_dbt,
    jobs_of,
    outputs_of,
    with_run_slots,
)
from include.local_dbt_cloud.storage.dbt_project import DbtProject
from include.local_dbt_cloud.storage.jobs_file import one_job_each, read_jobs_file
from tests.bundled import DBT_PYTHON, JOBS_FILE
from tests.dbt_projects import write_project

DUCKDB, POSTGRES = {"type": "duckdb"}, {"type": "postgres"}
EMPTY = "{account: {id: 1, name: Empty}, projects: [], environments: [], jobs: []}"
TWO = {1: DbtProject(name="weather"), 2: DbtProject(name="sales")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dbt-project", "5=."], "--dbt-project 5: .*jobs.yaml has no such project"),
        (["--dbt-project", "36467=."], "Project 36468 of .* has no folder: pass .* 36468=PATH"),
        (["--profiles-dir", "."], "before_runs .* --profiles-dir replaces"),
    ],
)
def test_jobs_file_must_fit_the_options(options: list[str], message: str) -> None:
    with pytest.raises(StartError, match=message):
        jobs_of(parse_settings(options))


def test_two_projects_of_one_name_are_an_error(tmp_path: Path) -> None:
    folders = [write_project(tmp_path / one, "weather") for one in ("a", "b")]
    pairs = zip(("36467", "36468"), folders, strict=True)
    options = [f"--dbt-project={project_id}={folder}" for project_id, folder in pairs]
    with pytest.raises(StartError, match="are both dbt projects with the name weather"):
        outputs_of(parse_settings(options), read_jobs_file(JOBS_FILE))


def test_subdirectory_must_be_in_the_folder(tmp_path: Path) -> None:
    write_project(tmp_path / "transform", "weather")
    settings = parse_settings(["--dbt-project", str(tmp_path)])
    jobs_file = read_jobs_file(JOBS_FILE)
    with pytest.raises(StartError, match="Set --dbt-project"):
        outputs_of(settings, jobs_file)
    for project in jobs_file.projects:
        project.dbt_project_subdirectory = "/transform/"
    assert {output["type"] for output in outputs_of(settings, jobs_file).values()} == {"duckdb"}


def test_account_without_projects_has_an_output_for_those_to_come(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(EMPTY)
    settings = parse_settings(["--jobs", str(tmp_path / "jobs.yaml")])
    jobs_file = jobs_of(settings)
    (output,) = outputs_of(settings, jobs_file).values()
    assert output["type"] == "duckdb"
    assert with_run_slots(jobs_file, [output]).account.run_slots == 1


def test_profile_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    settings = parse_settings(["--profiles-dir", str(tmp_path)])
    with pytest.raises(StartError, match=r"profiles\.yml cannot be read"):
        outputs_of(settings, read_jobs_file(JOBS_FILE))


@pytest.mark.parametrize(
    ("given", "outputs", "expected"),
    [
        (0, [DUCKDB], 1),
        (0, [POSTGRES], RUN_SLOTS),
        (0, [POSTGRES, DUCKDB], 1),
        (3, [DUCKDB], 3),
        (2, [POSTGRES], 2),
    ],
)
def test_run_slots_are_what_the_adapter_allows(
    given: int, outputs: list[dict[str, str]], expected: int
) -> None:
    jobs_file = one_job_each(TWO)
    jobs_file.account.run_slots = given
    assert with_run_slots(jobs_file, outputs).account.run_slots == expected


def test_each_of_several_projects_has_a_schema_of_its_own() -> None:
    schemas = [one.schema_name for one in one_job_each(TWO).environments]
    assert schemas == ["weather", "sales"]
    (environment,) = one_job_each({1: TWO[1]}).environments
    assert environment.schema_name == ""


@pytest.mark.parametrize(
    ("python", "adapter", "message"),
    [
        (Path("/no/python"), "duckdb", r"does not start: No such file or directory\. "),
        (Path("/bin/false"), "duckdb", r"does not run Python\. "),
        (Path("/bin/true"), "duckdb", r"does not run Python\. "),
        (Path(sys.executable), "duckdb", "-m pip install dbt-core dbt-duckdb`"),
        (DBT_PYTHON, "postgres", "no dbt for postgres: .* dbt-core dbt-postgres`"),
    ],
)
def test_dbt_must_have_the_adapter(python: Path, adapter: str, message: str) -> None:
    with pytest.raises(StartError, match=message), checked_dbt(python, [{"type": adapter}]):
        pass


def test_dbt_of_this_repository_has_its_adapter() -> None:
    with checked_dbt(DBT_PYTHON, [DUCKDB]):
        pass


def test_error_beside_the_check_is_not_taken_for_one_of_dbt() -> None:
    with pytest.raises(OSError, match="disk"), checked_dbt(DBT_PYTHON, [DUCKDB]):
        raise OSError("disk")
