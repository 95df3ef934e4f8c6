"""Which output of profiles.yml a run has, and what of it may be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.local_dbt_cloud.storage.profiles import (
    ProfileError,
    connection_details,
    connection_name,
    read_output,
    variables_of,
)

PROFILES = """\
weather:
  target: dev
  outputs:
    dev: {type: duckdb, path: dev.duckdb}
    prod: {type: postgres, host: db.example.com, port: 5432, dbname: dwh, user: me, password: open}
other:
  outputs: {}
"""


def output_of(
    folder: Path, content: str = PROFILES, name: str = "weather", target: str | None = None
) -> dict[str, object]:
    (folder / "profiles.yml").write_text(content)
    return read_output(folder, name, target, Path("/home/me/weather"))


@pytest.mark.parametrize(
    ("content", "target", "expected"),
    [
        (PROFILES, None, "duckdb"),
        (PROFILES, "prod", "postgres"),
        ("weather: {outputs: {default: {type: duckdb}}}", None, "duckdb"),  # dbt's default target
    ],
)
def test_output_is_the_target_s(
    tmp_path: Path, content: str, target: str | None, expected: str
) -> None:
    assert output_of(tmp_path, content, target=target)["type"] == expected


@pytest.mark.parametrize(
    ("content", "name", "target", "message"),
    [
        ("a: [", "weather", None, "profiles.yml, line 1: "),
        ("", "weather", None, "has no profile weather; it has: none."),
        ("- 1", "weather", None, "has no profile weather; it has: none."),
        (PROFILES, "sales", None, "has no profile sales; it has: other, weather."),
        (PROFILES, "weather", "ci", "profile weather has no output ci; it has: dev, prod."),
        (PROFILES, "other", None, "profile other has no output default; it has: none."),
        ("weather: 1", "weather", None, "weather: Input should be"),
        ("weather: {}", "weather", None, "weather.outputs: Field required"),
        ("weather: {outputs: {default: 1}}", "weather", None, "weather.outputs.default: "),
        ("weather: {outputs: {default: {}}}", "weather", None, "outputs.default has no type."),
    ],
)
def test_output_that_does_not_exist_is_an_error(
    tmp_path: Path, content: str, name: str, target: str | None, message: str
) -> None:
    with pytest.raises(ProfileError) as raised:
        output_of(tmp_path, content, name, target)
    assert message in str(raised.value)
    assert str(tmp_path / "profiles.yml") in str(raised.value)


def test_missing_profiles_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"profiles\.yml cannot be read: No such file"):
        read_output(tmp_path, "weather", None, tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("path", "dev.duckdb", "/home/me/weather/dev.duckdb"),
        ("keyfile", "keys/google.json", "/home/me/weather/keys/google.json"),
        ("path", "/data/dev.duckdb", "/data/dev.duckdb"),
        ("path", ":memory:", ":memory:"),
        ("path", "md:dwh", "md:dwh"),
        ("path", "s3://bucket/dwh.duckdb", "s3://bucket/dwh.duckdb"),
        ("path", "~/dev.duckdb", "~/dev.duckdb"),
        ("path", "{{ env_var('DWH') }}", "{{ env_var('DWH') }}"),
        ("schema", "main", "main"),
    ],
)
def test_files_start_at_the_dbt_project(
    tmp_path: Path, field: str, value: str, expected: str
) -> None:
    attached = f'attach: [{{{field}: "{value}"}}]'
    content = f'weather: {{outputs: {{default: {{type: duckdb, {field}: "{value}", {attached}}}}}}}'
    output = output_of(tmp_path, content)
    assert output[field] == expected
    assert output["attach"] == [{field: expected}]


def test_connection_shows_no_secret(tmp_path: Path) -> None:
    output = output_of(tmp_path, target="prod")
    assert connection_name(output) == "PostgreSQL"
    assert connection_details(output) == {
        "host": "db.example.com",
        "hostname": "db.example.com",
        "port": 5432,
        "dbname": "dwh",
    }


def test_variables_are_those_of_the_templates() -> None:
    templates = {"password": "{{ env_var('DBT_PASSWORD') }}", "a": ['{{env_var( "PORT", "1") }}']}
    assert variables_of(templates) == {"DBT_PASSWORD", "PORT"}
