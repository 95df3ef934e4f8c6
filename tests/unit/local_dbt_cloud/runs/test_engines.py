"""The dbt of a run: which process a version gets, and how dbt 2.0 is started."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from include.local_dbt_cloud.__main__ import parse_settings
from include.local_dbt_cloud.runs.engines import EngineError, Engines, wanted_version
from include.local_dbt_cloud.runs.worker_process import DbtCommand, WorkerProcess
from include.local_dbt_cloud.storage.schemas import Environment, Job, RunRequest


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    """Engines whose processes are not started."""
    names = ["1.12=a/python", "latest-fusion=b/python", "2.0=b/python", "extended=c/python"]
    options = [word for name in names for word in ("--dbt-python", name)]
    engines = Engines(parse_settings(["--data", str(tmp_path), *options]))
    engines.default.dbt_version = "1.11.16"
    return engines


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("1.12", "1.12"),
        ("1.12.6", "1.12"),
        ("1.12.0-latest", "1.12"),
        ("2.0.0a4", "2.0"),
        ("latest-fusion", "latest-fusion"),
        ("extended", "extended"),
        ("latest", None),
        ("compatible", None),
        ("versionless", None),
        ("1.11", None),
        ("1.11.0-latest", None),
    ],
)
def test_choose_returns_the_process_of_a_version(
    engines: Engines, version: str, name: str | None
) -> None:
    expected = engines.default if name is None else engines._named[name]
    assert engines.choose(version) is expected


@pytest.mark.parametrize("version", ["1.1", "1.10", "1.120", "2.1", "latest-next", "", "dbt"])
def test_choose_refuses_a_version_that_is_not_installed(engines: Engines, version: str) -> None:
    with pytest.raises(EngineError, match=f"dbt {version} is not installed here") as raised:
        engines.choose(version)
    assert "choose one of: 1.11.16, 1.12, 2.0, extended, latest-fusion." in str(raised.value)


@pytest.mark.parametrize(
    ("of_job", "of_trigger", "expected"),
    [(None, None, "1.11"), ("1.12", None, "1.12"), ("1.12", "2.0", "2.0"), (None, "2.0", "2.0")],
)
def test_trigger_replaces_the_version_of_the_job_and_that_of_the_environment(
    of_job: str | None, of_trigger: str | None, expected: str
) -> None:
    environment = Environment(id=1, project_id=1, name="Production", dbt_version="1.11")
    job = Job(
        id=1,
        project_id=1,
        environment_id=1,
        name="Daily",
        execute_steps=["dbt build"],
        dbt_version=of_job,
    )
    request = RunRequest(cause="test", dbt_version_override=of_trigger)
    assert wanted_version(environment, job, request) == expected


@pytest.mark.parametrize(
    ("text", "python", "pythons"),
    [
        ("/opt/dbt/bin/python", "/opt/dbt/bin/python", {}),
        ("/opt/a=b/python", "/opt/a=b/python", {}),
        ("1.12=/opt/dbt/python", None, {"1.12": Path("/opt/dbt/python")}),
        ("latest-fusion=/opt/a=b/python", None, {"latest-fusion": Path("/opt/a=b/python")}),
    ],
)
def test_dbt_python_option_names_a_version_or_the_default(
    text: str, python: str | None, pythons: dict[str, Path]
) -> None:
    settings = parse_settings(["--dbt-python", text])
    assert settings.dbt_python == (Path(python) if python else parse_settings([]).dbt_python)
    assert settings.dbt_pythons == pythons


PROGRAM = """\
#!/bin/sh
echo "arguments: $@"
echo "region: $DBT_REGION" >&2
echo "10:00:00.000001 [debug]: details" >> "$DBT_LOG_PATH/dbt.log"
test "$1" = build
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The Python of an environment in which dbt is a program, as of 2.0."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.with_name("dbt").write_text(PROGRAM)
    python.with_name("dbt").chmod(stat.S_IRWXU)
    [packages] = (tmp_path / "venv").glob("lib/python*/site-packages")
    metadata = packages / "dbt_core-2.0.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: dbt-core\nVersion: 2.0.0\n")
    return python


def test_worker_runs_a_dbt_that_is_a_program(program: Path, tmp_path: Path) -> None:
    worker = WorkerProcess(program, tmp_path)
    worker.start()
    try:
        assert worker.dbt_version == "2.0.0"
        for command, success in (("build", True), ("test", False)):
            step = tmp_path / command
            step.mkdir()
            request = DbtCommand(
                arguments=[command, "--select", "a b"],
                environment={"DBT_LOG_PATH": str(step), "DBT_REGION": "europe"},
                logs=str(step / "logs.txt"),
                debug_logs=str(step / "debug_logs.txt"),
            )
            assert worker.run(request, seconds=30) is success
            logs = (step / "logs.txt").read_text()
            assert logs == f"arguments: {command} --select a b\nregion: europe\n"
            debug_logs = (step / "debug_logs.txt").read_text()
            assert debug_logs == "10:00:00.000001 [debug]: details\n"
    finally:
        worker.close()
