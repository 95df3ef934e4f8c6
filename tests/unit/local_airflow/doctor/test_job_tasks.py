"""The jobs that the doctor finds in Dag files: those of tasks and of constants."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.local_airflow.doctor.job_tasks import conn_ids_of, example_job_ids, read_dags, tasks_of

PROJECT = Path(__file__).parents[4]
DAGS = PROJECT / "dags"
WAITS = """
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import Asset, dag

LOAD_JOB_ID = 11
WAIT_JOB_ID = 12
DBT_CLOUD_CONN_ID = "other"

@dag(schedule=Asset(f"dbt-cloud://other/jobs/{WAIT_JOB_ID}"))
def waits():
    DbtCloudRunJobOperator(task_id="load", job_id=LOAD_JOB_ID, dbt_cloud_conn_id=DBT_CLOUD_CONN_ID)

waits()
"""


def test_job_tasks_finds_a_job_by_its_constant(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)

    dags, broken = read_dags(tmp_path)
    tasks = tasks_of(dags)

    assert not broken
    assert [(str(task), task.job_id, task.constant, task.starts) for task in tasks] == [
        ("waits.load", 11, "LOAD_JOB_ID", True),
        ("waits.WAIT_JOB_ID", 12, "WAIT_JOB_ID", False),
    ]
    assert {task.conn_id for task in tasks} == {"other"}


@pytest.mark.parametrize(
    "message",
    [
        "unclosed transport <_SelectorSocketTransport fd=25>",
        "Unclosed client session <aiohttp.client.ClientSession object at 0x7f>",
        "Implicitly cleaning up <TemporaryDirectory '/tmp/a'>",
        "subprocess 25 is still running",
    ],
)
def test_read_dags_reads_a_file_while_the_garbage_collector_warns(
    tmp_path: Path, message: str
) -> None:
    warning = f"import warnings\nwarnings.warn({message!r}, ResourceWarning)\n"
    (tmp_path / "waits.py").write_text(warning + WAITS)

    dags, broken = read_dags(tmp_path)

    assert [dag.dag_id for dag in dags] == ["waits"]
    assert not broken


TWO_ACCOUNTS = """
from airflow.providers.dbt.cloud.sensors.dbt import DbtCloudJobRunSensor
from airflow.sdk import Asset, dag

JOB_ID = 12
DBT_CLOUD_CONN_ID = "dbt_cloud_us"

@dag(schedule=Asset("dbt-cloud://dbt_cloud_us/jobs/12") & Asset("dbt-cloud://dbt_cloud_eu/jobs/12"))
def waits_for_both():
    DbtCloudJobRunSensor(task_id="wait", run_id=1, dbt_cloud_conn_id="dbt_cloud_ap")

@dag(schedule=Asset("dbt-cloud://dbt_cloud_jp/runs?project_id=1"))
def for_all_runs(): ...

waits_for_both(), for_all_runs()
"""


def test_tasks_of_finds_one_job_id_in_two_accounts(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(TWO_ACCOUNTS)

    dags, broken = read_dags(tmp_path)

    assert not broken
    found = {(str(task), task.conn_id, task.job_id, task.starts) for task in tasks_of(dags)}
    assert found == {
        ("waits_for_both.JOB_ID", "dbt_cloud_us", 12, False),
        ("waits_for_both.JOB_ID", "dbt_cloud_eu", 12, False),
    }
    assert conn_ids_of(dags) == {f"dbt_cloud_{region}" for region in ("us", "eu", "ap", "jp")}


def test_job_tasks_finds_every_dag_of_dbt_cloud() -> None:
    dags, broken = read_dags(DAGS)
    tasks = tasks_of(dags)
    texts = {file.name: file.read_text() for file in DAGS.glob("*.py")}

    assert not broken
    assert {task.file for task in tasks} == {
        name for name, text in texts.items() if "\nDBT_CLOUD_CONN_ID = " in text
    }
    for name, text in texts.items():
        ids = re.findall(r"^\w*JOB_ID = (\d+)$", text, re.MULTILINE)
        assert {task.job_id for task in tasks if task.file == name} >= set(map(int, ids)), name


@pytest.mark.parametrize("written", ["'<your dbt Cloud job id>'", "''", "'12a'"])
def test_job_tasks_reports_an_id_that_cannot_be_one(tmp_path: Path, written: str) -> None:
    text = WAITS.replace("LOAD_JOB_ID = 11", f"LOAD_JOB_ID = {written}")
    (tmp_path / "waits.py").write_text(text.replace("JOB_ID = 12", "JOB_ID = 'later'"))

    tasks = tasks_of(read_dags(tmp_path)[0])

    assert [(str(task), task.wrong_id, task.constant) for task in tasks] == [
        ("waits.load", written, "LOAD_JOB_ID"),
        ("waits.WAIT_JOB_ID", "'later'", "WAIT_JOB_ID"),
    ]


@pytest.mark.parametrize("template", ["{{ params.job_id }}", "{% if a %}1{% else %}2{% endif %}"])
def test_job_tasks_has_no_id_for_a_template(tmp_path: Path, template: str) -> None:
    text = WAITS.replace("job_id=LOAD_JOB_ID", f"job_id={template!r}")
    (tmp_path / "waits.py").write_text(text)

    load = tasks_of(read_dags(tmp_path)[0])[0]

    assert (load.task_id, load.job_id, load.wrong_id) == ("load", None, "")


def test_example_job_ids_are_those_of_the_local_jobs(tmp_path: Path) -> None:
    assert {65767, 30605} <= example_job_ids(PROJECT)
    assert example_job_ids(tmp_path) == set()  # as in an ejected project
