from __future__ import annotations

from pathlib import Path

import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.airflow_settings import AirflowSettings, read_settings

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
      pool_include_deferred:
  variables:
    - variable_name:
      variable_value:
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "airflow_settings.yaml"
    file.write_text(text)
    return file


def test_read_settings_reads_the_astro_cli_format(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, GOOD))
    first, second = settings.connections
    assert (first.conn_login, first.conn_port) == ("16173", 5432)
    assert first.extra == '{"sslmode": "require"}'
    assert second.extra == '{"a": 1}'
    assert settings.pools[0].pool_slot == 2
    assert settings.variables[0].variable_value == "42"


@pytest.mark.parametrize("text", [SCAFFOLD, "", "airflow:\n", "airflow:\n  pools:\n"])
def test_read_settings_skips_empty_entries(tmp_path: Path, text: str) -> None:
    assert read_settings(write(tmp_path, text)) == AirflowSettings()


def test_read_settings_returns_nothing_without_a_file(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "airflow_settings.yaml") == AirflowSettings()


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("airflow:\n  pools: [\n", 3, "expected the node content"),
        ("airflow:\n  conections: []\n", 2, "airflow.conections: unknown key"),
        (
            "airflow:\n  connections:\n    - conn_id: a\n      host: b\n",
            4,
            "connections.host: unknown key",
        ),
        ("airflow:\n  connections:\n    - conn_host: b\n", 3, "conn_id is missing"),
        ("airflow:\n  connections:\n    - conn_id: a\n", 3, "conn_type or conn_uri is missing"),
        (GOOD.replace("5432", "high"), 7, "conn_port: must be a whole number"),
        (
            "airflow:\n  connections:\n    - {conn_id: a, conn_type: b, conn_extra: '[1]'}\n",
            3,
            "conn_extra is not a JSON object",
        ),
        (GOOD.replace("      pool_slot: 2\n", ""), 14, "pool_slot is missing"),
        (GOOD.replace("answer", "[4, 2]"), 18, "variable_name: must be text or a number"),
        (GOOD.replace("slot: 2", "slot: two"), 15, "pool_slot: must be a whole number"),
        ("airflow:\n  pools: small\n", 2, "pools: must be a list"),
        ("airflow:\n  pools: [small]\n", 2, "pools: must be a mapping"),
        ("- airflow\n", 1, "must be a mapping"),
    ],
)
def test_read_settings_reports_the_line_and_reason_of_a_mistake(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    with pytest.raises(LaunchError) as caught:
        read_settings(write(tmp_path, text))
    first, mistake = str(caught.value).splitlines()
    assert first == "airflow_settings.yaml cannot be used: correct it and start again."
    assert mistake.startswith(f"  line {line}: ")
    assert reason in mistake


def test_read_settings_reports_all_mistakes_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("5432", "high").replace("pool_slot: 2", "slots: 2").replace("42", "")

    with pytest.raises(LaunchError) as caught:
        read_settings(write(tmp_path, text))

    _, *mistakes = str(caught.value).splitlines()
    assert mistakes == [
        "  line 7: airflow.connections.conn_port: must be a whole number",
        "  line 15: airflow.pools.slots: unknown key",
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("42", "42"),
        ("1", "1"),
        ("0", "0"),
        ("4.50", "4.5"),
        ("true", "true"),
        ("False", "false"),
        ("yes", "yes"),
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01 06:00:00", "2026-03-01 06:00:00"),
        (
            "{schema: analytics, since: 2026-03-01}",
            '{"schema": "analytics", "since": "2026-03-01"}',
        ),
        ("[1, true, null]", "[1, true, null]"),
        ("{}", "{}"),
        ("'[1]'", "[1]"),
    ],
)
def test_read_settings_takes_each_kind_of_value_as_a_variable(
    tmp_path: Path, written: str, value: str
) -> None:
    settings = read_settings(write(tmp_path, GOOD.replace("42", written)))

    assert settings.variables[0].variable_value == value


def test_read_settings_takes_a_pool_that_includes_deferred_tasks(tmp_path: Path) -> None:
    text = GOOD.replace("pool_slot: 2", "pool_slot: 2\n      pool_include_deferred: true")

    assert read_settings(write(tmp_path, text)).pools[0].pool_include_deferred
