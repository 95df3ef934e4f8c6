"""Shapes of JSON answers, without their values."""

from __future__ import annotations

from typing import Any

import pytest

from include.local_dbt_cloud.verify.shapes import differences, shape_of


def found(theirs: Any, ours: Any) -> list[str]:
    return [str(one) for one in differences(shape_of(theirs), shape_of(ours))]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"a": 1, "b": "x"}, {"a": 2, "b": "y"}),
        ({"a": None}, {"a": 2}),
        ({"a": []}, {"a": [{"b": 1}]}),
        ({"a": [{"b": 1}, {"b": None}]}, {"a": [{"b": 1}]}),
        ({"a": {}}, {"a": {"b": 1}}),
        ({"env": {"DBT_MINE": {"x": 1}}}, {"env": {"DBT_OTHER": {"x": 2}}}),
        ({"a": {"details": {"account": "x"}}}, {"a": {"details": {"path": "y"}}}),
    ],
)
def test_equal_shapes_have_no_differences(theirs: Any, ours: Any) -> None:
    assert found(theirs, ours) == []


def test_differences_name_the_outermost_place() -> None:
    theirs = {"kept": 1, "data": [{"id": "1", "new": {"inner": 1}, "both": {"a": True}}]}
    ours = {"kept": 1, "data": [{"id": 1, "old": None, "both": {"a": 1, "b": 2}}]}

    assert found(theirs, ours) == [
        "`data[].both.a`: boolean in dbt Cloud, integer here",
        "`data[].both.b`: only here",
        "`data[].id`: string in dbt Cloud, integer here",
        "`data[].new`: only in dbt Cloud (object)",
        "`data[].old`: only here",
    ]


@pytest.mark.parametrize("key", ["DBT_SECRET_REGION", "36467", "Production", "a b", "x" * 65])
def test_keys_that_may_be_values_are_not_shown(key: str) -> None:
    text = " ".join(found({"data": {"id": 1, key: 1}}, {"data": {"id": 1}}))

    assert text == "`data.{key}`: only in dbt Cloud (integer)"


def test_keys_of_an_object_without_a_common_field_are_not_shown() -> None:
    theirs = {"data": {"acme": 1, "warehouse_of_acme": 2}}

    assert found(theirs, {"data": {"id": 1}}) == ["`data`: no field in common"]


def test_names_of_environments_are_not_shown() -> None:
    theirs = {"data": {"variables": {"dbt_one": {"project": {"id": 1}, "acme": {"id": "1"}}}}}
    ours = {"data": {"variables": {"DBT_TWO": {"project": {"id": 1}}}}}

    text = " ".join(found(theirs, ours))

    assert text.startswith("`data.variables.{key}.{key}.id`: ")
    assert "acme" not in text
