"""Tests of the file of a run: what earlier versions wrote, and what is no such file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.reports.stored_run import decoded, encoded

RUN: dict[str, Any] = {"id": 7, "job_definition_id": 65767, "job": {"name": "größe \ud83d"}}
NODE = Node("model.shop.a\ud83d", "error", 1.0, "größe \ud83d", 4)


def test_half_of_a_surrogate_pair_is_replaced_when_it_is_written() -> None:
    stored = decoded(encoded(RUN, [NODE], None).encode())

    assert stored.run["job"]["name"] == "größe \ufffd"
    assert stored.nodes[0] == Node("model.shop.a\ufffd", "error", 1.0, "größe \ufffd", 4)


def test_half_of_a_surrogate_pair_of_an_earlier_version_is_replaced() -> None:
    entry = {"unique_id": NODE.unique_id, "status": "error", "seconds": 1, "step": 4}
    earlier = json.dumps({"version": 1, "run": RUN, "nodes": [entry]})

    stored = decoded(earlier.encode())

    assert (stored.run["job"]["name"], bytes(stored.timeline)) == ("größe \ufffd", b"null")
    assert stored.nodes[0].unique_id == "model.shop.a\ufffd"


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "1e999", "null", '"1"'])
def test_seconds_that_are_no_number_are_an_error(seconds: str) -> None:
    content = encoded(RUN, [NODE], None).replace('"seconds":1.0', f'"seconds":{seconds}')

    with pytest.raises(ValueError, match=r"seconds|not JSON compliant"):
        decoded(content.encode())
