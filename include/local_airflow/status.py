"""`make status`: what runs, since when, how often it was started again, and where it answers."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.local_airflow.airflow.rest_api import COMPONENTS, AirflowApi
from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.webhooks import of_local_dbt_cloud
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import (
    check_connections,
    dbt_cloud_in_use,
    leads_here,
)
from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.command import airflow_watcher
from include.local_airflow.supervisor.client import State, Watcher, last_lines
from include.local_airflow.supervisor.local_servers import ALL, DBT_CLOUD, servers_watcher
from include.local_servers.connections import DBT_CLOUD as CONNECTION

HEARTBEAT = 30.0  # seconds without one until Airflow itself counts a component as unhealthy


def status(launch: Launch, console: Console) -> int:
    """Print a row for each process; return 0 only if all are well."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Process", "State", "Since", "Restarts", "Where, or last line of log"):
        table.add_column(column, overflow="fold")
    if not console.is_terminal:
        console.width = 200  # rows stay whole in a file and in a pipe
    well = True
    for watcher in (airflow_watcher(launch), servers_watcher(launch)):
        if watcher.left_behind():
            well = False
            table.add_row(
                f"all of {watcher.name}",
                "[red]unwatched",
                "",
                "",
                "the watcher was killed: make start begins anew",
            )
        for state in watcher.states().values():
            if state.lives or state.died or watcher.name == "airflow":
                answers = state.lives and _answers(state, launch, watcher)
                well &= answers
                table.add_row(*_row(state, answers, watcher))
    if not table.row_count:
        console.print("Nothing is running: make start starts it.")
        return 1
    console.print(table)
    if not console.quiet:
        _print_dbt_cloud(_at_its_ports(launch), console)
    return 0 if well else 1


def _at_its_ports(launch: Launch) -> Launch:
    """Return the choices with the ports of what runs, which may be those of an earlier command."""
    ports = {}
    for watcher, name, variable in (
        (airflow_watcher(launch), "api-server", "PORT"),
        (servers_watcher(launch), DBT_CLOUD.program_name, DBT_CLOUD.variable),
    ):
        if name in watcher.states():
            ports[variable] = str(urlsplit(watcher.url(name)).port)
    return replace(launch, variables=launch.variables | ports)


def _print_dbt_cloud(launch: Launch, console: Console) -> None:
    """Print which dbt Cloud is used, and whether its webhooks reach Airflow."""
    runs = bool(airflow_watcher(launch).states())
    stored = AirflowApi(launch.port).connection(CONNECTION.conn_id) if runs else None
    in_backend = ""
    try:
        in_backend = check_connections(launch, console)
        in_use = dbt_cloud_in_use(launch, stored, in_backend)
    except LaunchError as error:
        in_use = f"dbt Cloud: {error}"
    console.print(Text(in_use))
    is_stored_here = stored is None or leads_here(stored.get("host"), stored.get("login"))
    is_local = launch.uses_local_dbt_cloud and is_stored_here and not in_backend
    if told := _webhook(launch, is_local):
        console.print(
            Text(" ".join([told.text, told.advice]).strip(), style=told.advice and "yellow")
        )


def _webhook(launch: Launch, is_local: bool) -> Finding | None:
    """Return whether webhooks reach Airflow, as far as this machine can know."""
    airflow = airflow_watcher(launch)
    servers = servers_watcher(launch)
    if not airflow.states():
        return None
    if not is_local or DBT_CLOUD.program_name not in servers.states():
        return Finding("Whether dbt Cloud's webhooks tell of finished runs: make doctor asks it.")
    server = servers.url(DBT_CLOUD.program_name)
    return of_local_dbt_cloud(launch, airflow.url("api-server"), server)


def _row(state: State, answers: bool, watcher: Watcher) -> list[str | Text]:
    where = watcher.url(state.name)
    if not state.lives:
        where = last_lines(watcher.log(state.name), 1)
    return [
        state.name,
        Text(_words(state, answers), style="green" if answers else "red"),
        _ago(state.since),
        str(state.restarts),
        Text(where),
    ]


def _words(state: State, answers: bool) -> str:
    if state.died:
        return "ended, starts again"
    if not state.lives:
        return "stopped"
    return "running" if answers else "does not answer yet"


def _answers(state: State, launch: Launch, watcher: Watcher) -> bool:
    """Tell whether the process is well, as far as anybody can ask it."""
    for server in ALL:
        if state.name == server.program_name:
            return server.answers(launch, watcher.url(state.name))
    kind = state.name.rstrip("-0123456789")
    api = AirflowApi(urlsplit(watcher.url("api-server")).port or launch.port)
    if kind == "api-server":
        return kind in api.healthy_components()
    if kind in COMPONENTS:  # the last heartbeat may still be that of a process that was killed
        since = api.seconds_since_heartbeat(kind)
        return since is not None and since < min(state.since, HEARTBEAT)
    return True


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
