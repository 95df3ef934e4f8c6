"""Tests that a failed run is not retried, even if it fails before the deferral."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD

FILE = Path(__file__).parents[2] / "dags" / "run_dbt_cloud_job_with_form.py"


def test_run_that_fails_before_deferral_is_not_retried(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    task = runpy.run_path(str(FILE))["RunJobOperator"](
        task_id="run_job",
        job_id=DAILY_BUILD,
        trigger_reason="test",
        steps_override=["dbt run-operation no_such_macro"],
        deferrable=True,
    )

    def xcom_push(key: str, value: int) -> None:
        if key == "job_run_id":  # the operator's last step before it reads the run
            dbt_cloud_connection.wait(value, until={20})

    with pytest.raises(AirflowFailException, match="has failed"):
        task.execute({"ti": SimpleNamespace(try_number=1, xcom_push=xcom_push)})
