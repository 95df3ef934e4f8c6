"""The Astro CLI can use this repository. No Docker engine is needed to see that."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.local_dbt_cloud.testing import free_port

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]

# What `astro dev start` has on Airflow 3 (PROJECT/airflow:latest is the project's own image).
COMPONENTS = ("scheduler", "dag-processor", "api-server", "triggerer")
MOUNTED = ("dags", "plugins", "include", "tests")


def astro_compose() -> dict[str, Any]:
    component = {
        "image": "project/airflow:latest",
        "networks": ["airflow"],
        "environment": {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"},
        "volumes": [f"/project/{name}:/usr/local/airflow/{name}:z" for name in MOUNTED],
    }
    services = {name: {**component, "command": ["airflow", name]} for name in COMPONENTS}
    services["postgres"] = {"image": "postgres:16", "networks": ["airflow"]}
    services["db-migration"] = {**component, "command": ["airflow", "db", "migrate"]}
    return {"services": services, "networks": {"airflow": {}}, "volumes": {"airflow_logs": {}}}


def merge(base: Any, override: Any) -> Any:
    """Compose's rules: mappings merge, lists of volumes and ports append, the rest is replaced."""
    if isinstance(base, list) and isinstance(override, dict):
        base = dict.fromkeys(base)  # the short form of `networks`
    if isinstance(base, dict) and isinstance(override, dict):
        merged = {**base, **override}
        for key in base.keys() & override.keys():
            appended = key in ("volumes", "ports") and isinstance(base[key], list)
            merged[key] = base[key] + override[key] if appended else merge(base[key], override[key])
        return merged
    return override


@pytest.fixture
def compose() -> dict[str, Any]:
    override = yaml.safe_load((PROJECT / "docker-compose.override.yml").read_text())
    merged: dict[str, Any] = merge(astro_compose(), override)
    return merged


def test_override_adds_no_service(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*COMPONENTS, "postgres", "db-migration"}


def test_override_keeps_astro_mounts_and_shares_the_local_data(
    compose: dict[str, Any],
) -> None:
    for name in ("scheduler", "triggerer", "api-server"):
        service = compose["services"][name]
        targets = [volume.split(":")[1] for volume in service["volumes"]]
        assert targets[:4] == [f"/usr/local/airflow/{folder}" for folder in MOUNTED]
        assert "/usr/local/airflow/include/.local" in targets
        assert "airflow" in service["networks"]
        assert service["command"][-2:] == ["airflow", name]
    assert "local_dbt_cloud" in compose["volumes"]


def test_mount_point_of_the_local_data_is_committed() -> None:
    """What is missing, Docker makes on a Linux host as root's, and make cannot write there."""
    override = yaml.safe_load((PROJECT / "docker-compose.override.yml").read_text())
    [volume] = override["x-local-dbt-cloud"]["volumes"]
    point = Path(volume.partition(":")[2]).relative_to("/usr/local/airflow")

    ignored = (PROJECT / point / ".gitignore").read_text().splitlines()

    assert ignored[-2:] == ["*", "!.gitignore"]


def test_the_scheduler_serves_the_local_dbt_cloud_under_its_name(compose: dict[str, Any]) -> None:
    scheduler = compose["services"]["scheduler"]

    assert scheduler["networks"]["airflow"]["aliases"] == ["local-dbt-cloud"]
    assert scheduler["command"][:3] == ["bash", "include/in_docker.sh", "serve"]
    assert compose["services"]["api-server"]["command"][2] == "receive"  # its webhooks
    assert all(port.startswith("127.0.0.1:") for port in scheduler["ports"])


# What a task does first: look at the connection's host. Its name is known in the compose network
# only, and the certificate has to be good for it, so the calls go to it by address.
CALL_ALL_THREE = """
import json, os, socket, time, requests
look_up = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **options: look_up("127.0.0.1", *rest, **options)
dbt_cloud, fivetran, census = (
    json.loads(os.environ[f"AIRFLOW_CONN_{name}_DEFAULT"])
    for name in ("DBT_CLOUD", "FIVETRAN", "CENSUS")
)
calls = {
    f"https://{dbt_cloud['host']}/api/v2/accounts/{dbt_cloud['login']}/jobs/": "Token "
    + dbt_cloud["password"],
    f"https://{fivetran['host']}/v1/users": (fivetran["login"], fivetran["password"]),
    f"https://{census['host']}/api/v1/syncs": "Bearer " + census["password"],
    f"https://{dbt_cloud['host']}/api/v3/accounts/{dbt_cloud['login']}/webhooks/subscriptions":
    "Token " + dbt_cloud["password"],
}
for url, key in calls.items():
    how = {"auth": key} if isinstance(key, tuple) else {"headers": {"Authorization": key}}
    for attempt in range(300):
        try:
            answer = requests.get(url, **how)
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    print(answer.status_code, url, answer.json())
print("Secret:", json.loads(os.environ["AIRFLOW_CONN_DBT_CLOUD_WEBHOOKS"])["password"])
"""


def run_in_docker_sh(
    *command: str, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the script as a container would, without a port to the outside, and end what it left."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "LOCAL_DBT_CLOUD_HOST": "127.0.0.1", **variables}
    environment |= {"LOCAL_DBT_CLOUD_DATA": str(folder), "DBT_CLOUD_PORT": str(free_port())}
    environment |= {"FIVETRAN_CENSUS_PORT": str(free_port()), "LOCAL_DBT_CLOUD_NAME": "localhost"}
    script = PROJECT / "include" / "in_docker.sh"
    with (folder / "output").open("w+") as output:  # a pipe would stay open with the server
        process = subprocess.Popen(
            ["bash", script, *command],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        output.seek(0)
        return subprocess.CompletedProcess(command, code, output.read())


def test_a_container_starts_the_local_servers_and_reaches_them_by_name(tmp_path: Path) -> None:
    command = ("serve", "receive", sys.executable, "-c", CALL_ALL_THREE)
    served = run_in_docker_sh(*command, folder=tmp_path)

    assert re.findall(r"^200 https://local-dbt-cloud:\d+/(\S+)", served.stdout, re.MULTILINE) == [
        "api/v2/accounts/16173/jobs/",
        "v1/users",
        "api/v1/syncs",
        "api/v3/accounts/16173/webhooks/subscriptions",
    ], served.stdout
    assert "'client_url': 'http://api-server:8080/webhooks/dbt-cloud'" in served.stdout
    secret = json.loads((tmp_path / "webhook-subscription.json").read_text())["hmac_secret"]
    assert f"Secret: {secret}\n" in served.stdout
    assert "Daily build" in served.stdout
    assert "dbt Cloud: the local one, https://localhost:" in served.stdout
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0
    assert (tmp_path / "token").read_text().strip() != "local-dbt-cloud-token"


REAL_ACCOUNT = '{"conn_type": "dbt_cloud", "host": "xy9.dbt.com", "login": "7", "password": "x"}'


def test_container_with_a_real_account_does_not_use_the_local_servers(tmp_path: Path) -> None:
    variables = {"AIRFLOW_CONN_DBT_CLOUD_DEFAULT": REAL_ACCOUNT}
    shown = run_in_docker_sh("serve", "env", folder=tmp_path, **variables)

    assert shown.returncode == 0
    assert f"AIRFLOW_CONN_DBT_CLOUD_DEFAULT={REAL_ACCOUNT}" in shown.stdout
    assert "dbt Cloud: xy9.dbt.com, account 7 (AIRFLOW_CONN_DBT_CLOUD_DEFAULT in" in shown.stdout
    assert "REQUESTS_CA_BUNDLE" not in shown.stdout
    assert "AIRFLOW_CONN_CENSUS_DEFAULT" not in shown.stdout


def test_a_container_does_not_start_with_a_wrong_dbt_python(tmp_path: Path) -> None:
    served = run_in_docker_sh(
        "serve", "echo", "started", folder=tmp_path, LOCAL_DBT_CLOUD_DBT_PYTHON="1.12"
    )

    assert served.returncode == 1
    assert "Error: LOCAL_DBT_CLOUD_DBT_PYTHON must be VERSION=PATH" in served.stdout
    assert "started" not in served.stdout


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        ("DBT_CLOUD_DEFAULT", REAL_ACCOUNT.replace('"7"', "7"), "Its login is a number: write it"),
        ("DBT_CLOUD_DEFAULT", "", "It is empty: fill it in, or remove the line."),
        ("DBT_CLOUD_WEBHOOKS", '{"password": 7}', "Its password is a number: write it in quotes"),
    ],
)
def test_a_container_does_not_start_with_a_connection_that_airflow_skips(
    name: str, value: str, mistake: str, tmp_path: Path
) -> None:
    command = ("serve", "receive", "echo", "started")
    shown = run_in_docker_sh(*command, folder=tmp_path, **{f"AIRFLOW_CONN_{name}": value})

    assert shown.returncode == 1
    assert shown.stdout.startswith(f"Error: AIRFLOW_CONN_{name} cannot be used. {mistake}")
    assert len(shown.stdout.splitlines()) == 1
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize("login", ["7", 7])
def test_container_reads_the_secrets_backend_first(login: str | int, tmp_path: Path) -> None:
    connection = json.loads(REAL_ACCOUNT) | {"login": login}
    (tmp_path / "connections.json").write_text(json.dumps({"dbt_cloud_default": connection}))
    kwargs = json.dumps({"connections_file_path": str(tmp_path / "connections.json")})
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": kwargs,
    }

    shown = run_in_docker_sh("serve", "echo", "started", folder=tmp_path, **variables)

    if login == "7":
        assert shown.returncode == 0
        assert "dbt Cloud: xy9.dbt.com, account 7 (the secrets backend" in shown.stdout
        assert "the local one" not in shown.stdout
    else:
        assert shown.returncode == 1
        assert shown.stdout.startswith("Error: The connection dbt_cloud_default of LocalFilesystem")
        assert "started" not in shown.stdout


def test_image_is_astro_runtime_and_requirements_omit_airflow() -> None:
    requirements = (PROJECT / "requirements.txt").read_text()
    base, *rest = (PROJECT / "Dockerfile").read_text().splitlines()

    assert re.fullmatch(r"FROM astrocrpublic\.azurecr\.io/runtime:3\.3-\d+-python-3\.13", base)
    assert not any(line.startswith("FROM") for line in rest)
    assert not re.search(r"^apache-airflow\b(?!-)", requirements, re.MULTILINE)


def test_code_in_the_image_imports_nothing_that_the_image_excludes() -> None:
    ignored = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line]
    left_out = {
        name.replace("/", ".") for name in ignored if name.startswith(("include/", "tests"))
    }
    assert {"include.local_airflow", "include.local_dbt_cloud", "tests"} <= left_out
    kept = [
        file
        for folder in ("dags", "plugins", "include")
        for file in (PROJECT / folder).rglob("*.py")
        if not any(file.is_relative_to(PROJECT / name) for name in ignored)
    ]

    imported = {
        f"{match[1]} in {file.name}"
        for file in kept
        for match in re.finditer(
            r"^\s*(?:from|import) ((?:include|tests)[\w.]*)", file.read_text(), re.M
        )
        if any(f"{match[1]}.".startswith(f"{name}.") for name in left_out)
    }

    assert kept
    assert not imported


def test_pyproject_names_the_same_packages_as_requirements() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    requirements = {line for line in lines if line and not line.startswith("#")}

    assert set(project["dependencies"]) == requirements | {"apache-airflow==3.3.*"}


def test_astro_cli_settings_exist() -> None:
    config = yaml.safe_load((PROJECT / ".astro" / "config.yaml").read_text())

    assert config["postgres"]["tag"] == "16"  # the default, 12.6, is too old for Airflow 3.3
    assert (PROJECT / ".astro" / "dag_integrity_exceptions.txt").exists()
    assert (PROJECT / "packages.txt").exists()
    assert "airflow_settings.yaml" not in (PROJECT / ".gitignore").read_text()


def test_astro_dev_parse_names_the_file_that_does_not_import(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / ".astro", tmp_path / ".astro")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "sound.py").write_text("from airflow.sdk import dag")
    (tmp_path / "dags" / "broken.py").write_text(
        "from airflow.sdk import dag; import no_such_module"
    )

    parsed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", ".astro/test_dag_integrity_default.py"],
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__DAGS_FOLDER": "dags"},
        capture_output=True,
        text=True,
    )

    assert parsed.returncode == 1, parsed.stdout
    assert "1 failed, 1 passed" in parsed.stdout
    assert "dags/broken.py does not import" in parsed.stdout
    assert "no_such_module" in parsed.stdout
