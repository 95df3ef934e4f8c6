"""The wheel in an environment of its own, with a dbt project that is not ours."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.local_airflow.install.__main__ import CONSTRAINTS
from tests.bundled import DBT_PYTHON, PROJECT, TOKEN
from tests.dbt_projects import write_project
from tests.package.environments import uv
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PACKAGE = PROJECT / "include" / "local_dbt_cloud"
STARTED = re.compile(r"is running at (https://localhost:\d+)\n")
ACCOUNT = "/api/v2/accounts/1"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--out-dir", folder, PACKAGE)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an empty environment; return its command."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    uv("venv", folder)
    install = ("pip", "install", "--python", folder / "bin" / "python")
    uv(*install, "--constraint", CONSTRAINTS, wheel)
    return folder / "bin" / "local-dbt-cloud"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write a dbt project without a profile, whose second model builds on the first."""
    models = {"days": "select 1 as day, 21 as degrees", "warm": "select * from {{ ref('days') }}"}
    return write_project(tmp_path / "a project", "weather", **models)


@dataclass(frozen=True)
class Started:
    process: subprocess.Popen[str]
    client: httpx.Client

    def build(self) -> dict[str, Any]:
        """Run the job; return the finished run."""
        run = self.client.post(f"{ACCOUNT}/jobs/1/run/", json={"cause": "test"}).json()["data"]
        url = f"{ACCOUNT}/runs/{run['id']}/"
        eventually(lambda: self.client.get(url).json()["data"]["is_complete"], "the run ends")
        data: dict[str, Any] = self.client.get(url).json()["data"]
        return data


@contextmanager
def started(program: Path, project: Path) -> Iterator[Started]:
    """Start the command in the project's folder, with nothing but dbt and a free port."""
    command: list[str | Path] = [program, "--port", "0", "--dbt-python", DBT_PYTHON]
    hidden = {"LOCAL_DBT_CLOUD_DATA", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    process = subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        url = STARTED.search(process.stdout.readline())
        assert url
        authority = project / ".local_dbt_cloud" / "ca.pem"
        trusted = ssl.create_default_context(cafile=authority)
        headers = {"Authorization": f"Token {TOKEN}"}
        with httpx.Client(
            base_url=url[1], verify=trusted, headers=headers, trust_env=False, timeout=30
        ) as client:
            yield Started(process, client)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_wheel_has_the_code_and_not_this_repository_s_jobs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        f"local_dbt_cloud/{file.relative_to(PACKAGE)}"
        for suffix in ("*.py", "*.html", "*.tsv")
        for file in PACKAGE.rglob(suffix)
    }
    assert files <= names
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = (name for name in names if name.endswith("LICENSE"))
        assert archive.read(licence) == (PROJECT / "LICENSE").read_bytes()
    assert not [name for name in names if name.endswith((".yaml", ".toml", ".pyc"))]


def test_installed_command_builds_a_dbt_project_that_is_not_ours(
    program: Path, project: Path
) -> None:
    with started(program, project) as server:
        jobs = server.client.get(f"{ACCOUNT}/jobs/").json()["data"]
        assert [(job["id"], job["name"], job["execute_steps"]) for job in jobs] == [
            (1, "dbt build", ["dbt build"])
        ]
        run = server.build()
        assert run["is_success"], run["status_message"]
        path = f"{ACCOUNT}/runs/{run['id']}/artifacts/run_results.json"
        results = server.client.get(path).json()["results"]
        assert {one["unique_id"]: one["status"] for one in results} == {
            "model.weather.days": "success",
            "model.weather.warm": "success",
        }
        del server.client.headers["Authorization"]
        assert "model warm" in server.client.get(run["href"]).text
        server.process.kill()

    with started(program, project) as server:  # nothing is lost, and the next run works
        assert server.client.get(f"{ACCOUNT}/runs/{run['id']}/").json()["data"]["is_success"]
        assert server.build()["is_success"]


def test_installed_command_builds_the_starter_project_of_dbt(program: Path, tmp_path: Path) -> None:
    """Its first model has a null id on purpose, so that one of dbt's four tests fails."""
    init: list[str | Path] = [
        DBT_PYTHON.with_name("dbt"),
        "init",
        "starter",
        "--skip-profile-setup",
    ]
    subprocess.run(init, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)

    with started(program, tmp_path / "starter") as server:
        run = server.build()
        path = f"{ACCOUNT}/runs/{run['id']}/artifacts/run_results.json"
        results = server.client.get(path).json()["results"]

    assert run["is_error"]
    assert {one["unique_id"].split(".")[2]: one["status"] for one in results} == {
        "my_first_dbt_model": "success",
        "not_null_my_first_dbt_model_id": "fail",
        "unique_my_first_dbt_model_id": "pass",
        "my_second_dbt_model": "skipped",
        "not_null_my_second_dbt_model_id": "skipped",
        "unique_my_second_dbt_model_id": "skipped",
    }


FOREIGN_TESTS = """
import os

import httpx
import pytest

RUNS = "/api/v2/accounts/1/runs/"


def get(server, path=RUNS):
    with server.trust():
        return httpx.get(server.url + path, headers={"Authorization": f"Token {server.token}"})


@pytest.mark.parametrize("number", range(4))
def test_server_responds(local_dbt_cloud, number):
    assert get(local_dbt_cloud).json()["data"] == []
    assert local_dbt_cloud.account_id == 1
    assert f'"host": "{local_dbt_cloud.host}"' in local_dbt_cloud.connection


def test_faults_end_with_their_block(local_dbt_cloud):
    with local_dbt_cloud.faults("503", "GET", "*/runs*", times=9):
        assert get(local_dbt_cloud).status_code == 503
    assert get(local_dbt_cloud).status_code == 200
    with pytest.raises(ValueError, match="kind"):
        with local_dbt_cloud.faults("999"):
            pass


def test_trust_restores_the_environment(local_dbt_cloud):
    before = dict(os.environ)
    get(local_dbt_cloud)
    assert dict(os.environ) == before


def test_reset_deletes_what_a_test_has_made(local_dbt_cloud):
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(1))
    assert run["is_success"]
    assert get(local_dbt_cloud).json()["data"]
    local_dbt_cloud.reset()
    assert get(local_dbt_cloud).json()["data"] == []


def test_another_server_has_other_options_and_continues(make_local_dbt_cloud, local_dbt_cloud):
    server = make_local_dbt_cloud("--fault", "500 GET */runs*")
    assert server.url != local_dbt_cloud.url
    assert server.ca_file.read_text() == local_dbt_cloud.ca_file.read_text()
    assert get(server).status_code == 500
    url = server.url
    server.end()
    assert server.start().url == url


def test_server_that_cannot_start_is_an_error(make_local_dbt_cloud):
    with pytest.raises(RuntimeError, match="did not start"):
        make_local_dbt_cloud("--dbt-project", "no-such-folder")
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_fixtures_serve_a_foreign_test_suite(program: Path, project: Path, workers: str) -> None:
    python = program.with_name("python")
    uv("pip", "install", "--python", python, "--constraint", CONSTRAINTS, "pytest", "pytest-xdist")
    (project / "test_foreign.py").write_text(FOREIGN_TESTS)
    table = f'[tool.local-dbt-cloud]\ndbt-python = "{DBT_PYTHON}"\n'
    (project / "pyproject.toml").write_text(table)
    hidden = ("LOCAL_DBT_CLOUD_", "PYTEST_", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}

    done = subprocess.run(
        [python, "-m", "pytest", "-n", workers, "-W", "error"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert "9 passed" in done.stdout, done.stdout + done.stderr


def test_installed_command_without_dbt_names_the_command_that_installs_it(
    program: Path, project: Path
) -> None:
    done = subprocess.run([program, "--port", "0"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 1
    python = program.with_name("python")
    assert f"`{python} -m pip install dbt-core dbt-duckdb`" in done.stderr
    assert "make run" not in done.stderr
