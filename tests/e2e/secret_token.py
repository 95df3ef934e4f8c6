"""The token of the local dbt Cloud in end-to-end tests, given to Airflow in three ways."""

from __future__ import annotations

import json

from tests.e2e.project import Project
from tests.e2e.variants import write_variant

TOKEN = "a-token-that-nobody-else-has"
TASK = "trigger_dbt_cloud_job_run"
ORIGINAL = "run_dbt_cloud_job"  # its connection is in the database, by airflow_settings.yaml
DAGS = {"database": ORIGINAL, "environment": "use_environment", "file": "use_file"}
PRINTS_TOKEN = "print_token"
BACKEND = "LocalFilesystemBackend"

# What a careless task does.
CARELESS = """
from airflow.sdk import BaseHook, dag, task

@dag
def print_token():
    @task
    def show():
        connection = BaseHook.get_connection("use_file")
        print("the token is", connection.password)

    show()

print_token()
"""


def give_token(project: Project) -> None:
    """Before anything starts: by `.env` and by the secrets backend that `.env.example` shows."""
    connection = {"conn_type": "dbt_cloud", "host": f"localhost:{project.dbt_cloud_port}"}
    connection |= {"login": "16173", "password": TOKEN}
    example = (project.root / ".env.example").read_text().splitlines()
    first = next(number for number, line in enumerate(example) if line.endswith(BACKEND))
    lines = [line.removeprefix("# ") for line in example[first : first + 2]]
    lines += [f"AIRFLOW_CONN_USE_ENVIRONMENT={json.dumps(connection)}"]
    (project.root / ".env").write_text("\n".join([*lines, f"LOCAL_DBT_CLOUD_TOKEN={TOKEN}\n"]))
    secrets = project.root / "include" / "secrets"
    (secrets / "connections.yaml").write_text(json.dumps({"use_file": connection}))
    for dag_id in set(DAGS.values()) - {ORIGINAL}:
        write_variant(project, ORIGINAL, dag_id, {'"dbt_cloud_default"': f'"{dag_id}"'})
    (project.root / "dags" / f"{PRINTS_TOKEN}.py").write_text(CARELESS)
