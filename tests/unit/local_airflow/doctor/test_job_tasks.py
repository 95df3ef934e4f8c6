"""Which jobs the doctor finds in Dag files: those of tasks, and those that constants name."""

from __future__ import annotations

import re
from pathlib import Path

from include.local_airflow.doctor.job_tasks import job_tasks

DAGS = Path(__file__).parents[4] / "dags"
WAITS = """
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import Asset, dag

LOAD_JOB_ID = 11
WAIT_JOB_ID = 12
DBT_CLOUD_CONN_ID = "elsewhere"

@dag(schedule=Asset(f"dbt-cloud://elsewhere/jobs/{WAIT_JOB_ID}"))
def waits():
    DbtCloudRunJobOperator(task_id="load", job_id=LOAD_JOB_ID, dbt_cloud_conn_id=DBT_CLOUD_CONN_ID)

waits()
"""


def test_a_job_that_no_task_names_is_found_by_its_constant(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)

    tasks, broken = job_tasks(tmp_path)

    assert not broken
    assert [(str(task), task.job_id, task.constant, task.starts) for task in tasks] == [
        ("waits.load", 11, "LOAD_JOB_ID", True),
        ("waits.WAIT_JOB_ID", 12, "WAIT_JOB_ID", False),
    ]
    assert {task.conn_id for task in tasks} == {"elsewhere"}


def test_no_dag_of_dbt_cloud_is_left_out() -> None:
    tasks, broken = job_tasks(DAGS)
    texts = {file.name: file.read_text() for file in DAGS.glob("*.py")}

    assert not broken
    assert {task.file for task in tasks} == {
        name for name, text in texts.items() if "\nDBT_CLOUD_CONN_ID = " in text
    }
    for name, text in texts.items():
        ids = re.findall(r"^\w*JOB_ID = (\d+)$", text, re.MULTILINE)
        assert {task.job_id for task in tasks if task.file == name} >= set(map(int, ids)), name
