"""docs/jobs_and_schedules.md: the defaults of the arguments that control a wait."""

from __future__ import annotations

import inspect
import re

from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import BaseOperator

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator
from tests.docs.test_words import PROJECT

PAGE = (PROJECT / "docs" / "jobs_and_schedules.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| (.+?), `(\w+)`.*? \| .+ \| .+ \| .+ \|$", PAGE, re.MULTILINE)
ARGUMENTS = ("check_interval", "timeout", "execution_timeout", "max_silence")


def test_table_has_the_defaults_of_both_operators() -> None:
    defaults = {
        name: parameter.default
        for operator in (BaseOperator, DbtCloudRunJobOperator, DbtCloudRunJobExactlyOnceOperator)
        for name, parameter in inspect.signature(operator.__init__).parameters.items()
        if name in ARGUMENTS
    }

    assert defaults.keys() == set(ARGUMENTS)
    assert {name: default for name, _, default in ROWS} == {
        name: "None" if default is None else str(int(default)) for name, default in defaults.items()
    }


def test_only_the_exactly_once_operator_has_max_silence() -> None:
    assert "max_silence" not in inspect.signature(DbtCloudRunJobOperator).parameters
