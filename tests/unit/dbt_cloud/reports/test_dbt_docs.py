"""Tests that foreign text stays data in dbt's page."""

from __future__ import annotations

import json

from include.dbt_cloud.reports.dbt_docs import in_script


def test_in_script_escapes_closing_script_tags() -> None:
    artifact = {"description": "</script><script>alert(1)</script><!--"}

    text = in_script(artifact)

    assert "<" not in text
    assert json.loads(text) == artifact
