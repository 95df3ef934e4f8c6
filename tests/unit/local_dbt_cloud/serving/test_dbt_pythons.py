from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from include.local_dbt_cloud.__main__ import main
from include.local_dbt_cloud.command_line import parse_settings
from include.local_dbt_cloud.serving.dbt_pythons import VARIABLE, DbtPythonError, given_pythons

WRONG = ["1.12", "/bin/sh", "=/bin/sh", "1.12=", "1.12=/bin/sh,2.0", "a/b=/bin/sh"]


def test_given_pythons_returns_paths_by_version(tmp_path: Path) -> None:
    (tmp_path / "python").touch()
    text = "1.12=/bin/sh, latest-fusion=python,"

    assert given_pythons({VARIABLE: text}, tmp_path) == {
        "1.12": Path("/bin/sh"),
        "latest-fusion": tmp_path / "python",
    }
    assert given_pythons({}, tmp_path) == {}


@pytest.mark.parametrize("text", WRONG)
def test_given_pythons_refuses_a_malformed_value(text: str, tmp_path: Path) -> None:
    with pytest.raises(DbtPythonError, match=f"^{VARIABLE} must be VERSION=PATH, .*got {text}"):
        given_pythons({VARIABLE: text}, tmp_path)


@pytest.mark.parametrize("path", ["missing/python", "."])
def test_given_pythons_refuses_a_path_that_is_not_a_file(path: str, tmp_path: Path) -> None:
    with pytest.raises(DbtPythonError, match=rf"^{VARIABLE}: {tmp_path}.* does not exist"):
        given_pythons({VARIABLE: f"2.0={path}"}, tmp_path)


def test_dbt_python_options_override_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "1.12=/bin/sh,2.0=/bin/sh")

    settings = parse_settings(["--dbt-python", "2.0=/bin/other", "--dbt-python", "/bin/default"])

    assert settings.dbt_python == Path("/bin/default")
    assert settings.dbt_pythons == {"1.12": Path("/bin/sh"), "2.0": Path("/bin/other")}


def test_local_dbt_cloud_does_not_start_with_an_invalid_dbt_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "1.12")

    assert main(["--port", "0"]) == 1
    assert f"{VARIABLE} must be VERSION=PATH" in capsys.readouterr().err


def test_dbt_pythons_module_exits_with_an_error_for_an_invalid_value() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "include.local_dbt_cloud.serving.dbt_pythons"],
        env={VARIABLE: "1.12"},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {VARIABLE} must be VERSION=PATH")
