"""The process that checks, and prints what it finds: problems first.

`python -m include.local_airflow.doctor [--airflow URL] [--dag ID]`
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from include.dbt_cloud.api.advice import NOT_TRUSTED
from include.local_airflow.airflow.find_dag import find_dag
from include.local_airflow.airflow.prepare_database import exported_variables
from include.local_airflow.doctor import Finding, UnusableConnection
from include.local_airflow.doctor.checks import NO_BUNDLE, examine
from include.local_airflow.doctor.connections import Found, find_connection
from include.local_airflow.doctor.job_tasks import (
    JobTask,
    example_job_ids,
    job_tasks,
    tasks_of,
)
from include.local_airflow.doctor.webhooks import receiver_of
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.airflow_settings import NAME, AirflowSettings, read_settings
from include.local_airflow.settings.dotenv_file import read_dotenv
from include.local_airflow.settings.launch import TRUSTED, Launch
from include.local_airflow.start.command import airflow_watcher, has_connections_of
from include.local_servers.connections import DBT_CLOUD
from include.local_servers.subscription import CONN_ID


def findings(launch: Launch, airflow: str = "", dag_id: str = "") -> Iterator[Finding]:
    """Yield what is found about the connections that the Dags name, and about their jobs.

    Args:
        launch: the user's choices.
        airflow: the address of the Airflow that runs, if one does.
        dag_id: the only Dag to check.
    """
    if airflow and not has_connections_of(launch, airflow_watcher(launch)):
        yield Finding(
            "The Airflow that runs was started with other connections than are set now.",
            "make stop ends it, then make start takes those that are looked at here.",
        )
    settings = read_settings(launch.root / NAME)
    tasks, broken = _tasks(launch, settings, dag_id)
    yield from broken
    webhooks = find_connection(CONN_ID, launch, settings, bool(airflow))
    heard_of = DBT_CLOUD.conn_id
    if isinstance(webhooks, Found):
        heard_of = webhooks.connection.extra_dejson.get("dbt_cloud_conn_id", heard_of)
        if not isinstance(heard_of, str):
            yield Finding(
                f"The extra of {CONN_ID} names no connection.",
                f'Write it as {{"dbt_cloud_conn_id": "{DBT_CLOUD.conn_id}"}}, or remove it.',
            )
    elif isinstance(webhooks, UnusableConnection):
        yield webhooks
    examples = set() if dag_id else example_job_ids(launch.root)
    wanted = {task.conn_id for task in tasks} or {DBT_CLOUD.conn_id}
    for conn_id in sorted(wanted if dag_id else wanted | {DBT_CLOUD.conn_id}):
        found = find_connection(conn_id, launch, settings, bool(airflow))
        if isinstance(found, Finding):
            yield found
        else:
            receiver = receiver_of(found, webhooks, airflow) if conn_id == heard_of else None
            own = [task for task in tasks if task.conn_id == conn_id]
            yield from examine(found, own, receiver, examples)


def _tasks(
    launch: Launch, settings: AirflowSettings, dag_id: str
) -> tuple[list[JobTask], list[Finding]]:
    with exported_variables(settings):
        if dag_id:
            return tasks_of([find_dag(dag_id, launch.dags_folder)]), []
        return job_tasks(launch.dags_folder)


def with_trusted_files(finding: Finding, launch: Launch) -> Finding:
    """Add which file of certificates is used, and who names it, where that is the problem."""
    if finding.advice not in (NOT_TRUSTED, NO_BUNDLE):
        return finding
    dotenv = read_dotenv(launch.root / ".env")
    named = []
    for name in TRUSTED:
        if file := os.environ.get(name):
            source = ".env" if file == dotenv.get(name) else "the shell"
            if source == "the shell" and name in dotenv:
                source += f", which wins over {dotenv[name]} in .env"
            named.append(f"{name} is {file} ({source})")
        else:
            named.append(f"{name} is not set")
    return replace(finding, advice=f"{finding.advice} Now {' and '.join(named)}.")


def show(console: Console, found: list[Finding], every: bool) -> int:
    """Print problems, then notes, then what is well: in one line, or `every` finding.

    Returns:
        The number of problems.
    """
    problems = [finding for finding in found if finding.advice]
    well = [finding for finding in found if not finding.advice and not finding.is_note]
    for finding in problems:
        console.print(Text("✗ ", style="red") + Text(finding.text))
        console.print(Text(f"  {finding.advice}"))
    for finding in found:
        if finding.is_note:
            console.print(Text(f"- {finding.text}"))
    if not every and well:
        connections = [finding.short for finding in well if finding.short]
        count = len(well) - len(connections)
        more = [f"{count} check{'s' * (count > 1)} passed"] if count else []
        well = [Finding(", ".join([*connections, *more]) + ".")]
    for finding in well:
        console.print(Text("✓ ", style="green") + Text(finding.text))
    return len(problems)


def main() -> int:
    """Print the findings; return 0 only if there is nothing to do."""
    parser = argparse.ArgumentParser(prog="python -m include.local_airflow.doctor")
    parser.add_argument("--airflow", default="", metavar="URL", help="of the one that runs")
    parser.add_argument("--dag", default="", metavar="ID", help="the only Dag to check")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    launch = Launch.read()
    try:
        with console.status("Asking dbt Cloud ..."):
            found = [
                with_trusted_files(finding, launch)
                for finding in findings(launch, arguments.airflow, arguments.dag)
            ]
    except LaunchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    to_do = show(console, found, every=bool(arguments.dag))
    console.print(f"To do: {to_do}, marked ✗." if to_do else "All is well.")
    return 1 if to_do else 0


if __name__ == "__main__":
    sys.exit(main())
