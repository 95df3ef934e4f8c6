from __future__ import annotations

from pathlib import Path

import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings import AirflowSettings, read_settings
from tests.unit.local_airflow.conftest import ROOT

GOOD = """\
airflow:
  connections:
    - conn_id: warehouse
      conn_type: postgres
      conn_host: db
      conn_login: 16173
      conn_port: 5432
      conn_extra:
        sslmode: require
    - conn_id: by_uri
      conn_uri: http://example.com
      conn_extra: '{"a": 1}'
  pools:
    - pool_name: small
      pool_slot: 2
      pool_description: two at a time
  variables:
    - variable_name: answer
      variable_value: 42
"""

SCAFFOLD = """\
airflow:
  connections:
    - conn_id:
      conn_type:
      conn_port:
      conn_extra:
        example_extra_field: example-value
  pools:
    - pool_name:
      pool_slot:
  variables:
    - variable_name:
      variable_value:
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "airflow_settings.yaml"
    file.write_text(text)
    return file


def test_reads_the_astro_cli_format(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, GOOD))
    first, second = settings.connections
    assert (first.conn_login, first.conn_port) == ("16173", 5432)
    assert first.extra == '{"sslmode": "require"}'
    assert second.extra == '{"a": 1}'
    assert settings.pools[0].pool_slot == 2
    assert settings.variables[0].variable_value == "42"


@pytest.mark.parametrize("text", [SCAFFOLD, "", "airflow:\n", "airflow:\n  pools:\n"])
def test_skips_empty_entries(tmp_path: Path, text: str) -> None:
    assert read_settings(write(tmp_path, text)) == AirflowSettings()


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "airflow_settings.yaml") == AirflowSettings()


def test_the_committed_file_names_the_local_dbt_cloud() -> None:
    connections = read_settings(ROOT / "airflow_settings.yaml").connections
    connection = {each.conn_id: each for each in connections}["dbt_cloud_default"]
    assert connection.conn_host == "localhost:8580"
    assert connection.conn_login == "16173"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("airflow:\n  pools: [\n", 3, "expected the node content"),
        ("airflow:\n  conections: []\n", 2, "Extra inputs are not permitted"),
        ("airflow:\n  connections:\n    - conn_id: a\n      host: b\n", 4, "Extra inputs"),
        ("airflow:\n  connections:\n    - conn_host: b\n", 3, "conn_id is missing"),
        ("airflow:\n  connections:\n    - conn_id: a\n", 3, "conn_type or conn_uri is missing"),
        (GOOD.replace("5432", "high"), 7, "conn_port: Input should be a valid integer"),
        (GOOD.replace("      pool_slot: 2\n", ""), 14, "pool_slot is missing"),
        (GOOD.replace("42", "[4, 2]"), 19, "variable_value: Input should be a valid string"),
        ("- airflow\n", 1, "valid dictionary"),
    ],
)
def test_a_malformed_file_stops_with_line_and_reason(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    with pytest.raises(LaunchError) as caught:
        read_settings(write(tmp_path, text))
    assert str(caught.value).startswith(f"airflow_settings.yaml, line {line}: ")
    assert reason in str(caught.value)
