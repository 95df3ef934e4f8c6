"""The process that looks: prints a line for each finding.

`python -m include.local_airflow.doctor [ADDRESS]`, that of the Airflow that runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from include.local_airflow.database import exported_variables
from include.local_airflow.doctor import Finding, UnusableConnection
from include.local_airflow.doctor.connections import Found, find_connection
from include.local_airflow.doctor.job_tasks import job_tasks
from include.local_airflow.doctor.questions import examine
from include.local_airflow.doctor.webhooks import receiver_of
from include.local_airflow.environment import Launch
from include.local_airflow.errors import LaunchError
from include.local_airflow.server import airflow_watcher, has_connections_of
from include.local_airflow.settings import NAME, read_settings
from include.local_servers.connections import DBT_CLOUD
from include.local_servers.subscription import CONN_ID


def findings(launch: Launch, airflow: str = "") -> Iterator[Finding]:
    """Yield what is found out about each connection that the Dags name, and about their jobs."""
    if airflow and not has_connections_of(launch, airflow_watcher(launch)):
        yield Finding(
            "The Airflow that runs was started with other connections than are set now.",
            "make stop ends it, then make start takes those that are looked at here.",
        )
    settings = read_settings(launch.root / NAME)
    with exported_variables(settings):
        tasks, broken = job_tasks(launch.dags_folder)
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
    for conn_id in sorted({DBT_CLOUD.conn_id, *(task.conn_id for task in tasks)}):
        found = find_connection(conn_id, launch, settings, bool(airflow))
        if isinstance(found, Finding):
            yield found
        else:
            receiver = receiver_of(found, webhooks, airflow) if conn_id == heard_of else None
            yield from examine(found, [task for task in tasks if task.conn_id == conn_id], receiver)


def main(arguments: list[str]) -> int:
    """Print the findings; return 0 only if there is nothing to do."""
    console = Console(highlight=False, soft_wrap=True)
    to_do = 0
    try:
        for finding in findings(Launch.read(), *arguments):
            mark = Text("✗ ", style="red") if finding.advice else Text("✓ ", style="green")
            console.print(mark + Text(finding.text))
            if finding.advice:
                console.print(Text(f"  {finding.advice}"))
                to_do += 1
    except LaunchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    console.print("All is well." if not to_do else f"To do: {to_do}, marked ✗.")
    return 1 if to_do else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
