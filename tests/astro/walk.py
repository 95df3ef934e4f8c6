"""The Astro CLI's commands in a new clone: ``make test-astro``.

Not collected automatically, because it needs the CLI and a Docker engine. The clone contains
committed files only. The steps build on each other, in this order.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import CHECKOUT
from tests.e2e.test_all_dags_at_once import DAGS, approve_what_waits, dags_as_cloned
from tests.waiting import eventually

NORMAL_USER = 1000  # owns the clone if root runs the tests, so that root's files stand out
COMMAND_SECONDS = 3600.0  # the first build and the tests take 10 minutes on an idle machine
REQUEST_SECONDS = 180.0  # six containers share the machine
ALL_DAGS = 1200.0  # seconds; 180 on an idle machine
FOR_TRYING_OUT = (
    "eject",
    "local_airflow",
    "local_dbt_cloud",
    "local_fivetran_census",
    "in_docker.sh",
)


@dataclass(frozen=True)
class Clone:
    """A clone, and a newly installed CLI without settings."""

    folder: Path
    home: Path

    def astro(self, *arguments: str) -> str:
        """Run `astro dev ...`; return its output, which the message of a failure contains."""
        settings = {
            "ASTRO_HOME": str(self.home),
            "ASTRO_TELEMETRY_DISABLED": "1",
            "ASTRONOMER_NO_BROWSER": "1",
        }
        ours = ("AIRFLOW", "LOCAL_DBT_CLOUD", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        outer = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        with subprocess.Popen(
            ["astro", "dev", *arguments],
            cwd=self.folder,
            env=outer | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=COMMAND_SECONDS)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        print(f"$ astro dev {' '.join(arguments)}\n{output}")
        assert process.returncode == 0, output
        return output

    def airflow(self) -> Airflow:
        """Return a client for Airflow at the port that the CLI chose."""
        published = re.search(r"api-server-1\s+running\s+(\d+)", self.astro("ps"))
        assert published
        airflow = Airflow(int(published[1]))
        airflow.api.timeout = REQUEST_SECONDS
        return airflow

    def docker(self, *arguments: str) -> str:
        return subprocess.check_output(["docker", *arguments], text=True).strip()

    @property
    def containers(self) -> list[str]:
        """Return the names of this clone's running containers."""
        label = f"label=com.docker.compose.project.working_dir={self.folder}"
        return self.docker("ps", "--filter", label, "--format", "{{.Names}}").splitlines()

    def container(self, service: str) -> str:
        [name] = [name for name in self.containers if name.endswith(f"-{service}-1")]
        return name


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    base = tmp_path_factory.mktemp("astro")
    folder = base / "airflow-dbt-cloud"
    subprocess.run(["git", "clone", "--quiet", CHECKOUT, folder], check=True)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NORMAL_USER, NORMAL_USER)
    clone = Clone(folder, base / "home")
    yield clone
    clone.astro("kill")


def test_every_dag_file_parses(clone: Clone) -> None:
    assert "No errors detected in your DAGs" in clone.astro("parse")


def test_astro_dev_start_applies_airflow_settings(clone: Clone) -> None:
    output = clone.astro("start", "--wait", "10m")

    assert "Airflow UI: " in output
    for added in ("Pool: warehouse", "Connection: dbt_cloud_default", "Connection: census_default"):
        assert f"Added {added}" in output
    pool = clone.airflow().call("GET", "/pools/warehouse")
    assert pool["slots"] == 1


def test_local_dbt_cloud_is_published_only_on_loopback(clone: Clone, tmp_path: Path) -> None:
    scheduler = clone.container("scheduler")
    data = "/usr/local/airflow/include/.local"
    clone.docker("cp", f"{scheduler}:{data}/ca.pem", str(tmp_path))
    authority = ssl.create_default_context(cafile=tmp_path / "ca.pem")

    health = httpx.get("https://localhost:8580/health", verify=authority, trust_env=False)
    log = clone.astro("logs", "--scheduler")

    assert health.json()["name"] == "local dbt Cloud"
    assert "dbt Cloud: the local one, https://localhost:8580 (overrides the UI)." in log
    assert "The local dbt Cloud is running at https://localhost:8580" in log
    assert clone.docker("port", scheduler) == "8580/tcp -> 127.0.0.1:8580"


def test_all_dags_at_once_succeed(clone: Clone) -> None:
    airflow = clone.airflow()
    dags = eventually(
        lambda: found if len(found := dags_as_cloned(airflow)) == DAGS else None, "all are listed"
    )
    assert airflow.call("GET", "/importErrors")["total_entries"] == 0

    runs = [(dag_id, airflow.trigger(dag_id)) for dag_id in dags]
    approve_what_waits(airflow)

    states = {dag_id: airflow.wait(dag_id, run_id, ALL_DAGS) for dag_id, run_id in runs}
    assert states == dict.fromkeys(dags, "success")


def test_local_dbt_cloud_webhooks_create_asset_events(clone: Clone) -> None:
    output = clone.astro("logs", "--api-server")

    assert re.search(r"dbt Cloud run \d+ has finished: [1-9] new asset events", output)


def test_astro_dev_run_lists_the_dags(clone: Clone) -> None:
    assert "extract_load_transform" in clone.astro("run", "dags", "list", "--output", "plain")


def test_astro_dev_restart_keeps_earlier_dag_runs(clone: Clone) -> None:
    before = clone.airflow().dag_runs("run_dbt_cloud_job")

    clone.astro("restart", "--wait", "10m")

    airflow = clone.airflow()
    assert airflow.dag_runs("run_dbt_cloud_job")[: len(before)] == before
    run_id = airflow.trigger("run_dbt_cloud_job")
    assert airflow.wait("run_dbt_cloud_job", run_id, ALL_DAGS) == "success"


def test_image_excludes_the_local_servers_and_tests(clone: Clone) -> None:
    image = clone.docker("inspect", clone.container("scheduler"), "--format", "{{.Config.Image}}")

    inside = clone.docker("run", "--rm", image, "ls", ".", "include").split()

    assert {"dags", "dbt_cloud", "shop"} <= set(inside)
    assert not {*FOR_TRYING_OUT, "tests"} & set(inside)


def test_astro_dev_stop_removes_all_containers(clone: Clone) -> None:
    assert clone.containers

    clone.astro("stop")

    assert not clone.containers


def test_astro_dev_pytest_passes_in_the_image(clone: Clone) -> None:
    [summary] = re.findall(r"^=+ (.*\d+ passed.*) in ", clone.astro("pytest"), re.MULTILINE)

    assert "skipped" in summary
    assert "failed" not in summary


def test_all_files_in_the_clone_belong_to_its_owner(clone: Clone) -> None:
    """A later ``make run`` of a normal user must be able to write all files."""
    owner = clone.folder.stat().st_uid
    assert not [path for path in clone.folder.rglob("*") if path.lstat().st_uid != owner]


@pytest.mark.skipif(not shutil.which("uv"), reason="astro dev start --standalone needs uv")
def test_astro_dev_start_standalone_lists_all_dags(clone: Clone) -> None:
    try:
        clone.astro("start", "--standalone", "--wait", "10m", "--port", "8081")
    except AssertionError as error:
        if "error fetching constraints" in str(error):
            pytest.skip("Astronomer's package index cannot be reached")
        raise
    try:
        assert len(eventually(lambda: dags_as_cloned(Airflow(8081)), "Dags are listed")) == DAGS
    finally:
        clone.astro("stop", "--standalone")
