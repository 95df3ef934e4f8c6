"""Tests of command lines, compared with dbt's own parser."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from include.dbt_cloud.api.commands import WITH_VALUE, select_only, verb_of
from tests.unit.warm_dbt import PYTHON

OPTIONS_WITH_VALUE = """
import json
from dbt.cli.main import cli
commands = [cli, *cli.commands.values(), *cli.commands["docs"].commands.values()]
options = [one for each in commands for one in each.params if one.param_type_name == "option"]
print(json.dumps([name for one in options if not one.is_flag for name in one.opts]))
"""


@pytest.mark.parametrize(
    ("command", "verb"),
    [
        ("dbt build", "build"),
        ("dbt --quiet run", "run"),
        ("dbt --no-partial-parse --warn-error build", "build"),
        ("dbt --profiles-dir x build", "build"),
        ("dbt --profiles-dir=run build", "build"),
        ("dbt --target run --log-level debug test", "test"),
        ("dbt -t build run", "run"),
        ("dbt -tbuild run", "run"),
        ('dbt --warn-error-options \'{"error": "all"}\' seed', "seed"),
        ("dbt run-operation build --args '{run: test}'", "run-operation"),
        ("dbt ls --resource-type test", "ls"),
        ("dbt docs generate", "docs"),
        ("dbt", ""),
        ("dbt --version", ""),
        ("dbt --target", ""),
        ("", ""),
        ("dbt build --vars '{a", ""),
    ],
)
def test_verb_of_skips_options_and_their_values(command: str, verb: str) -> None:
    assert verb_of(command) == verb


@pytest.mark.skipif(not PYTHON.exists(), reason="needs dbt_venv, which `make` creates")
def test_options_with_a_value_include_all_of_dbt() -> None:
    printed = subprocess.run(
        [PYTHON, "-c", OPTIONS_WITH_VALUE], capture_output=True, text=True, check=True
    ).stdout

    assert set(json.loads(printed)) - WITH_VALUE == set()


@pytest.mark.parametrize(
    ("command", "rebuilt"),
    [
        ("dbt build", "dbt build --select a b"),
        ("dbt build -s tag:daily+ marts --full-refresh", "dbt build --full-refresh --select a b"),
        (
            "dbt run --select=marts --exclude x y --target prod",
            "dbt run --target prod --select a b",
        ),
        ("dbt --quiet test --selector nightly", "dbt --quiet test --select a b"),
        ("dbt --profiles-dir x build", "dbt --profiles-dir x build --select a b"),
        ("dbt --profiles-dir build run -s x", "dbt --profiles-dir build run --select a b"),
        ('dbt run --select "x y" z', "dbt run --select a b"),
        ("dbt run -sx -mtag:y --fail-fast", "dbt run --fail-fast --select a b"),
        ("dbt run --models x y -x", "dbt run -x --select a b"),
        ("dbt build --exclude x y --exclude z", "dbt build --select a b"),
        (
            "dbt build --resource-type test seed --indirect-selection cautious -s x",
            "dbt build --resource-type test seed --indirect-selection cautious --select a b",
        ),
        ("dbt run --vars '{build: run}'", "dbt run --vars '{build: run}' --select a b"),
        ("dbt run --vars build --select x", "dbt run --vars build --select a b"),
        ("dbt run-operation build --args '{a: b}'", None),
        ("dbt run-operation run", None),
        ("dbt ls --resource-type test", None),
        ("dbt compile --select run", None),
        ("dbt source freshness", None),
        ("dbt docs generate --select build", None),
        ("dbt retry --vars test", None),
        ("dbt", None),
        ("", None),
        ("dbt run --select 'x", None),
    ],
)
def test_select_only_keeps_all_options_but_the_selection(command: str, rebuilt: str | None) -> None:
    assert select_only(command, ["a", "b"]) == rebuilt


def test_select_only_preserves_quoted_arguments() -> None:
    words = ["dbt", "run", "--vars", '{"who": "it\'s; $(id)"}']

    rebuilt = select_only(shlex.join(words), ["a"])

    assert rebuilt
    assert shlex.split(rebuilt) == [*words, "--select", "a"]
