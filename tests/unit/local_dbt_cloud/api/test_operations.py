"""The list of documented operations."""

from __future__ import annotations

from include.local_dbt_cloud.api.operations import read_operations


def test_operations_are_unique() -> None:
    endpoints = [one.endpoint for one in read_operations()]

    assert len(endpoints) == len(set(endpoints)) > 200
