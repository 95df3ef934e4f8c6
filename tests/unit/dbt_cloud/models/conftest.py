from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.dbt_cloud.models.scripted_airflow import MakeAirflow, scripted


@pytest.fixture
def make_airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MakeAirflow:
    return scripted(monkeypatch, tmp_path)
