"""A token reaches dbt Cloud from each of Airflow's sources, and appears in no log or response."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.secret_token import DAGS, PRINTS_TOKEN, TASK, TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]


def files_with_token(folder: Path) -> set[str]:
    """Return all files with the token in plain text: logs, databases, artifacts, settings."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(file.relative_to(folder)) for file in files if TOKEN.encode() in file.read_bytes()}


def api_responses(airflow: Airflow, dag_id: str, run_id: str, task_id: str) -> str:
    """Return the API's responses about a task instance, connections and events, and the log."""
    task = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
    xcoms = airflow.call("GET", f"{task}/xcomEntries")["xcom_entries"]
    paths = [task, "/connections", "/eventLogs?limit=100", f"/dagSources/{dag_id}"]
    paths += [f"{task}/xcomEntries/{xcom['key']}" for xcom in xcoms]
    responses = [airflow.api.get(path) for path in paths]
    assert [response.status_code for response in responses] == [200] * len(paths)
    return "\n".join(
        [airflow.log(dag_id, run_id, task_id), *(response.text for response in responses)]
    )


@pytest.mark.parametrize("way", DAGS)
def test_token_reaches_dbt_cloud_and_appears_in_no_log_or_api_response(
    airflow: Airflow, way: str
) -> None:
    run_id, states = airflow.run(DAGS[way])

    assert states == {TASK: "success"}  # the local dbt Cloud refuses any other token
    text = api_responses(airflow, DAGS[way], run_id, TASK)
    assert "job_run_url" in text
    assert TOKEN not in text


def test_token_is_stored_only_in_its_two_settings_files(airflow: Airflow, project: Project) -> None:
    """This includes the files of all earlier tests."""
    with_token = files_with_token(project.root) - {"tests/e2e/secret_token.py"}
    assert with_token == {".env", "include/secrets/connections.yaml"}


def test_printed_token_is_masked_in_the_task_log(airflow: Airflow, project: Project) -> None:
    before = files_with_token(project.root)

    run_id, states = airflow.run(PRINTS_TOKEN)

    assert states == {"show": "success"}
    text = api_responses(airflow, PRINTS_TOKEN, run_id, "show")
    assert "the token is ***" in text
    assert TOKEN not in text
    # Airflow 3.3 repeats the output of tasks, unmasked, in the scheduler's log; README warns of it.
    assert files_with_token(project.root) - before == {".airflow/logs/scheduler.log"}


def test_undefined_connection_is_reported_in_the_task_log(
    airflow: Airflow, project: Project
) -> None:
    secrets = project.root / "include" / "secrets" / "connections.yaml"
    given = secrets.read_text()
    secrets.write_text("{}")
    try:
        run_id, states = airflow.run(DAGS["file"])
    finally:
        secrets.write_text(given)

    assert states == {TASK: "failed"}
    assert "The conn_id `use_file` isn't defined" in airflow.log(DAGS["file"], run_id, TASK)


def test_connections_file_is_ignored_by_git_and_docker() -> None:
    root = Path(__file__).parents[2]
    for name in (".gitignore", ".dockerignore"):
        assert "include/secrets/connections.yaml" in (root / name).read_text()
