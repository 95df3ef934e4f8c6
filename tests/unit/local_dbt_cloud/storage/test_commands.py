"""The commands that a job accepts."""

from __future__ import annotations

import pytest

from include.local_dbt_cloud.storage.commands import is_retryable, parse_command


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("dbt build", ["build"]),
        ("dbt run --select 'tag:hourly'", ["run", "--select", "tag:hourly"]),
        ("dbt --warn-error build", ["--warn-error", "build"]),
        ("dbt source freshness", ["source", "freshness"]),
        ("dbt source snapshot-freshness", ["source", "snapshot-freshness"]),
        ("dbt build; rm -rf /", None),
        ("dbt build --vars '{a: \"; rm\"}'", ["build", "--vars", '{a: "; rm"}']),
        ("dbt", None),
        ("", None),
        ("dbt source", None),
        ("dbt init", None),
        ("bash -c 'dbt build'", None),
        ("dbt build --target-path=/tmp", None),
        ("dbt build --state ../other", None),
        ("dbt build -r /tmp/timing", None),
        ("dbt build -r/tmp/timing", None),
        ("dbt -dxr /tmp/timing build", None),
        ("dbt build --partial-parse-file-path /tmp/x", None),
        ("dbt source freshness -o /tmp/x.json", None),
        ("dbt source freshness --output=/tmp/x.json", None),
        ("dbt source snapshot-freshness -o /tmp/x.json", None),
        ("dbt source snapshot-freshness --output=/tmp/x.json", None),
        ("dbt show --output json", ["show", "--output", "json"]),
        ("dbt run -s raw", ["run", "-s", "raw"]),
        ("dbt build 'unclosed", None),
    ],
)
def test_parse_command_accepts_only_allowed_dbt_commands(
    command: str, arguments: list[str] | None
) -> None:
    if arguments is None:
        with pytest.raises(ValueError, match=r"accepted|not a dbt command|could not be parsed"):
            parse_command(command)
    else:
        assert parse_command(command) == arguments


def test_freshness_cannot_be_retried() -> None:
    assert is_retryable("dbt --warn-error build")
    assert not is_retryable("dbt source freshness")
