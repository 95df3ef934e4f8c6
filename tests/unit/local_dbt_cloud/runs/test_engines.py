"""The process of a dbt version, and the start of dbt 2.0."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.local_dbt_cloud.command_line import parse_settings
from include.local_dbt_cloud.runs.engines import EngineError, Engines
from include.local_dbt_cloud.runs.outcomes import CANCELLED, InterruptedRunError
from include.local_dbt_cloud.runs.worker_process import (
    DbtCommand,
    WorkerError,
    WorkerProcess,
    WorkerTimeoutError,
)


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    """Return engines whose processes are not started."""
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
    assert engines.choose(version, not_interrupted) is expected


@pytest.mark.parametrize("version", ["1.1", "1.10", "1.120", "2.1", "latest-next", "", "dbt"])
def test_choose_refuses_a_version_that_is_not_installed(engines: Engines, version: str) -> None:
    with pytest.raises(EngineError, match=f"dbt {version} is not installed here") as raised:
        engines.choose(version, not_interrupted)
    assert "choose one of: 1.11.16, 1.12, 2.0, extended, latest-fusion." in str(raised.value)


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
test "$1" = wait && touch "$DBT_LOG_PATH/waits" && sleep 60
test "$1" = build
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return the Python of an environment whose dbt is a program, as in dbt 2.0."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.with_name("dbt").write_text(PROGRAM)
    python.with_name("dbt").chmod(stat.S_IRWXU)
    [packages] = (tmp_path / "venv").glob("lib/python*/site-packages")
    metadata = packages / "dbt_core-2.0.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: dbt-core\nVersion: 2.0.0\n")
    return python


@pytest.fixture
def worker(program: Path, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(program, tmp_path)
    worker.start()
    yield worker
    worker.close()


def command(folder: Path, *arguments: str) -> DbtCommand:
    folder.mkdir()
    return DbtCommand(
        arguments=list(arguments),
        folder=str(folder),
        environment={"DBT_LOG_PATH": str(folder), "DBT_REGION": "europe"},
        logs=str(folder / "logs.txt"),
        debug_logs=str(folder / "debug_logs.txt"),
    )


def not_interrupted() -> None:
    """Pass the check of a run that is not interrupted."""


def interrupted() -> None:
    raise InterruptedRunError(CANCELLED)


def test_worker_runs_a_dbt_that_is_a_program(worker: WorkerProcess, tmp_path: Path) -> None:
    assert worker.dbt_version == "2.0.0"
    for name, success in (("build", True), ("test", False)):
        step = tmp_path / name
        request = command(step, name, "--select", "a b")
        assert worker.run(request, 30, not_interrupted) is success
        logs = (step / "logs.txt").read_text()
        assert logs == f"arguments: {name} --select a b\nregion: europe\n"
        debug_logs = (step / "debug_logs.txt").read_text()
        assert debug_logs == "10:00:00.000001 [debug]: details\n"


def test_interruption_between_commands_keeps_the_process(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    warm = worker._process
    worker.interrupt()
    assert worker.run(command(tmp_path / "first", "build"), 30, not_interrupted)
    worker.interrupt()
    worker.start()
    assert worker._process is warm
    assert worker.run(command(tmp_path / "second", "build"), 30, not_interrupted)


def test_interrupted_command_ends_with_its_process(worker: WorkerProcess, tmp_path: Path) -> None:
    folder = tmp_path / "step"
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(worker.run, command(folder, "wait"), 30, not_interrupted)
        while not (folder / "waits").exists():
            time.sleep(0.01)
        worker.interrupt()
        with pytest.raises(WorkerError, match="exit code -9"):
            waiting.result()
    worker.start()
    assert worker.run(command(tmp_path / "next", "build"), 30, not_interrupted)


def test_command_interrupted_before_its_start_does_not_run(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedRunError):
        worker.run(command(tmp_path / "step", "build"), 30, interrupted)
    assert not (tmp_path / "step" / "logs.txt").exists()
    assert worker.run(command(tmp_path / "next", "build"), 30, not_interrupted)


def test_no_process_starts_for_an_interrupted_run(program: Path, tmp_path: Path) -> None:
    """Otherwise each run of a queue that is cancelled waits until dbt is imported."""
    worker = WorkerProcess(program, tmp_path)
    with pytest.raises(InterruptedRunError):
        worker.start(interrupted)
    assert worker._process is None


def test_command_that_takes_too_long_ends_with_its_process(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    with pytest.raises(WorkerTimeoutError):
        worker.run(command(tmp_path / "step", "wait"), 0.1, not_interrupted)
    worker.start()
    assert worker.run(command(tmp_path / "next", "build"), 30, not_interrupted)
