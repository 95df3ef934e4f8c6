from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.local_dbt_cloud.testing import free_port

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[3]
START = """
from include.local_airflow.settings.launch import Launch
from include.local_airflow.supervisor.local_servers import FIVETRAN_CENSUS_SERVER
FIVETRAN_CENSUS_SERVER.start(Launch.read(), "start", print)
"""
LOCAL_WORDS = re.compile(
    r"local dbt Cloud|local stand-ins|[Aa]s cloned|make (start|lineage|stop|status|logs)"
)

if not (PROJECT / ".git").exists():
    pytest.skip("needs git, and a checkout to clone", allow_module_level=True)


def git(folder: Path, *command: str) -> str:
    me = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    return subprocess.check_output(["git", *me, *command], cwd=folder, text=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy made by "Use this template", with uncommitted changes."""
    folder = tmp_path / "Our shop"
    listed = git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Use the template")
    return folder


def eject(folder: Path, *options: str, answer: str = "y\n") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "include.eject", *options]
    return subprocess.run(command, cwd=folder, input=answer, text=True, capture_output=True)


def test_ejected_project_passes_its_own_checks(clone: Path) -> None:
    ejected = eject(clone)

    assert ejected.returncode == 0, ejected.stderr
    assert "This turns the checkout into the project our-shop." in ejected.stdout
    dags = {file.stem for file in (clone / "dags").glob("*.py")}
    assert {"run_dbt_cloud_job", "run_dbt_cloud_job_exactly_once"} <= dags
    assert not {"extract_load_transform", "run_dbt_core_in_one_task"} & dags
    assert {file.name for file in (clone / "include").glob("[a-z]*")} == {
        "dbt_cloud",
        "jaffle_shop",  # a macro of one of the Dags
        "lineage",
    }
    assert [path.name for path in (clone / "include" / "jaffle_shop").rglob("*.*")] == [
        "drop_pull_request_schema.sql"
    ]
    assert set(re.findall(r"\(dags/(\w+)\.py\)", (clone / "README.md").read_text())) == dags
    assert (clone / "README.md").read_text().startswith("# our-shop\n")
    _, _, to_set = ejected.stdout.partition("Next, set these constants:\n")
    assert "  dags/run_dbt_cloud_job.py:22: JOB_ID = 65767\n" in to_set
    for file in (clone / "README.md", *(clone / "dags").glob("*.py")):
        assert not LOCAL_WORDS.search(file.read_text()), file.name
    for command in (["pytest", "-q"], ["ruff", "check"], ["ruff", "format", "--check"]):
        tested = subprocess.run(
            [sys.executable, "-m", *command], cwd=clone, text=True, capture_output=True
        )
        assert tested.returncode == 0, tested.stdout + tested.stderr

    git(clone, "reset", "--quiet", "--hard")
    assert not git(clone, "status", "--porcelain")


def test_ejected_tests_fail_for_broken_dag_files(clone: Path) -> None:
    eject(clone, "run_dbt_cloud_job")
    [file] = (clone / "dags").glob("*.py")
    file.write_text(file.read_text().replace('"retries": 2', '"retries": 0'))
    (clone / "dags" / "other.py").write_text("import no_such_module")

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=clone, text=True, capture_output=True
    )

    assert re.search(r"FAILED .*test_file_imports_and_defines_a_dag\[other\]", tested.stdout)
    assert re.search(r"FAILED .*test_dag_has_.*\[run_dbt_cloud_job\]", tested.stdout)


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_eject_without_confirmation_changes_nothing(clone: Path, answer: str) -> None:
    ejected = eject(clone, answer=answer)

    assert "Continue? [y/N] Nothing was changed." in ejected.stdout
    assert not git(clone, "status", "--porcelain")


def test_eject_rejects_uncommitted_changes(clone: Path) -> None:
    (clone / "dags" / "mine.py").write_text("# not committed")

    refused = eject(clone, "--yes")

    assert refused.returncode == 1
    assert "Error: There are uncommitted changes (see git status)" in refused.stderr
    assert (clone / "include" / "shop").exists()


def test_eject_rejects_an_unknown_dag(clone: Path) -> None:
    refused = eject(clone, "run_dbt_clod_job")

    assert "Error: Dag run_dbt_clod_job does not exist. Dags: approve_" in refused.stderr


def test_eject_stops_running_local_servers(clone: Path) -> None:
    (clone / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (clone / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    variables = os.environ | {"FIVETRAN_CENSUS_PORT": str(free_port())}
    subprocess.run([sys.executable, "-c", START], cwd=clone, env=variables, check=True)

    ejected = eject(clone)

    assert "Stopped local-fivetran-and-census." in ejected.stdout
    assert "Done: this is now our-shop. See README.md for the first steps.\n" in ejected.stdout
