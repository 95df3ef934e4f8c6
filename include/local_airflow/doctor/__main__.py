"""The process that runs the checks and prints the findings, problems first.

``python -m include.local_airflow.doctor [--airflow URL] [--dag ID]``
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from include.dbt_cloud.api.advice import NOT_TRUSTED
from include.dbt_cloud.events.senders import SECRET
from include.local_airflow.airflow.find_dag import find_dag
from include.local_airflow.airflow.prepare_database import exported_variables
from include.local_airflow.doctor import Finding, UnusableConnection
from include.local_airflow.doctor.checks import NO_BUNDLE, examine
from include.local_airflow.doctor.connections import ResolvedConnection, find_connection
from include.local_airflow.doctor.job_tasks import (
    JobTask,
    conn_ids_of,
    example_job_ids,
    read_dags,
    tasks_of,
)
from include.local_airflow.doctor.webhooks import receiver_of
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.airflow_settings import NAME, AirflowSettings, read_settings
from include.local_airflow.settings.dotenv_file import read_dotenv
from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.plan import airflow_supervisor, has_connections_of
from include.local_dbt_cloud.serving.connections import DBT_CLOUD, TRUSTED
from include.local_dbt_cloud.serving.subscription import CONN_ID


def findings(launch: Launch, airflow: str = "", dag_id: str = "") -> Iterator[Finding]:
    """Yield the findings about the Dags' connections and jobs.

    Args:
        launch: the user's choices.
        airflow: the URL of the running Airflow, if any.
        dag_id: the only Dag to check.
    """
    if airflow and not has_connections_of(launch, airflow_supervisor(launch)):
        yield Finding(
            "The running Airflow was started with different connections.",
            "Run make stop, then make start, to use the connections checked here.",
        )
    settings = read_settings(launch.root / NAME)
    tasks, named, broken = _tasks(launch, settings, dag_id)
    yield from broken
    webhooks = find_connection(CONN_ID, launch, settings, bool(airflow))
    sender = DBT_CLOUD.conn_id
    if isinstance(webhooks, ResolvedConnection):
        sender = webhooks.connection.extra_dejson.get("dbt_cloud_conn_id", sender)
        if not isinstance(sender, str):
            yield Finding(
                f"dbt_cloud_conn_id in the extra of {CONN_ID} is not a connection id.",
                f'Write it as {{"dbt_cloud_conn_id": "{DBT_CLOUD.conn_id}"}}, or remove it.',
            )
    elif isinstance(webhooks, UnusableConnection):
        yield webhooks
    examples = set() if dag_id else example_job_ids(launch.root)
    default = {DBT_CLOUD.conn_id}
    conn_ids = (named or default) if dag_id else named | default
    for conn_id in sorted(conn_ids):
        found = find_connection(conn_id, launch, settings, bool(airflow))
        if isinstance(found, Finding):
            yield found
            continue
        own = [task for task in tasks if task.conn_id == conn_id]
        of_sender = webhooks if conn_id == sender else None
        for finding in _examine(found, own, of_sender, airflow, examples):
            yield _naming(conn_id, finding) if len(conn_ids) > 1 else finding


def _examine(
    found: ResolvedConnection,
    tasks: list[JobTask],
    webhooks: ResolvedConnection | Finding | None,
    airflow: str,
    examples: set[int],
) -> Iterator[Finding]:
    """Yield the findings about a connection and its webhooks.

    Its secret is in its own extra, or in ``webhooks``, which is ``None`` for other accounts.
    """
    secret = found.connection.extra_dejson.get(SECRET)
    if secret and not isinstance(secret, str):
        text = f"{SECRET} in the extra of {found.connection.conn_id} is not a text."
        yield Finding(text, f'Write it as {{"{SECRET}": "THE_SECRET"}}, or remove it.')
    if isinstance(webhooks, ResolvedConnection):
        secret = secret or webhooks.connection.password
    receives = secret or webhooks
    receiver = receiver_of(found, bool(secret), airflow) if receives else None
    yield from examine(found, tasks, receiver, examples)


def _naming(conn_id: str, finding: Finding) -> Finding:
    """Add the connection to a problem, since two accounts can have the same host or job ids."""
    if not finding.advice or conn_id in finding.text:
        return finding
    return replace(finding, text=f"{conn_id}: {finding.text}")


def _tasks(
    launch: Launch, settings: AirflowSettings, dag_id: str
) -> tuple[list[JobTask], set[str], list[Finding]]:
    """Return the jobs and connections of all Dags or one, and the files that cannot be read."""
    with exported_variables(settings):
        if not dag_id:
            dags, broken = read_dags(launch.dags_folder)
            tasks = tasks_of(dags)
            return tasks, conn_ids_of(dags) | {task.conn_id for task in tasks}, broken
        dag = find_dag(dag_id, launch.dags_folder)
        beside, _ = read_dags(Path(dag.fileloc))  # the file's constants can be of other Dags
        others = {other.dag_id for other in beside} - {dag_id}
        tasks = [task for task in tasks_of(beside) if task.dag_id not in others]
        return tasks, conn_ids_of([dag]) | {task.conn_id for task in tasks}, []


def with_trusted_files(finding: Finding, launch: Launch) -> Finding:
    """Add the certificate files in use, and where they are set, to a certificate problem."""
    if finding.advice not in (NOT_TRUSTED, NO_BUNDLE):
        return finding
    dotenv = read_dotenv(launch.root / ".env")
    named = []
    for name in TRUSTED:
        if file := os.environ.get(name):
            source = ".env" if file == dotenv.get(name) else "the shell"
            if source == "the shell" and name in dotenv:
                source += f", which overrides {dotenv[name]} in .env"
            named.append(f"{name} is {file} ({source})")
        else:
            named.append(f"{name} is not set")
    return replace(finding, advice=f"{finding.advice} Currently {' and '.join(named)}.")


def print_findings(console: Console, found: list[Finding], every: bool) -> int:
    """Print problems, then notes, then the passed checks: ``every`` check, or a summary line.

    Returns:
        The number of problems.
    """
    problems = [finding for finding in found if finding.advice]
    passed = [finding for finding in found if not finding.advice and not finding.is_note]
    for finding in problems:
        console.print(Text("✗ ", style="red") + Text(finding.text))
        console.print(Text(f"  {finding.advice}"))
    for finding in found:
        if finding.is_note:
            console.print(Text(f"- {finding.text}"))
    if not every and passed:
        connections = [finding.short for finding in passed if finding.short]
        count = len(passed) - len(connections)
        more = [f"{count} check{'s' * (count > 1)} passed"] if count else []
        passed = [Finding(", ".join([*connections, *more]) + ".")]
    for finding in passed:
        console.print(Text("✓ ", style="green") + Text(finding.text))
    return len(problems)


def main() -> int:
    """Print the findings; return 0 only if there is no problem."""
    parser = argparse.ArgumentParser(prog="python -m include.local_airflow.doctor")
    parser.add_argument("--airflow", default="", metavar="URL", help="URL of the running Airflow")
    parser.add_argument("--dag", default="", metavar="ID", help="the only Dag to check")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    launch = Launch.read()
    try:
        with console.status("Checking dbt Cloud ..."):
            found = [
                with_trusted_files(finding, launch)
                for finding in findings(launch, arguments.airflow, arguments.dag)
            ]
    except LaunchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    problems = print_findings(console, found, every=bool(arguments.dag))
    console.print(f"Problems: {problems}, marked ✗." if problems else "All checks passed.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
