"""``make status``: each process with its state, uptime, restarts and URL."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.local_airflow.airflow.rest_api import COMPONENTS, AirflowApi
from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.webhooks import check_local_subscription
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import (
    active_dbt_cloud,
    check_connections,
    is_local,
)
from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.plan import airflow_supervisor
from include.local_airflow.supervisor.client import State, Supervisor, last_lines
from include.local_airflow.supervisor.local_servers import (
    DBT_CLOUD_SERVER,
    SERVERS,
    servers_supervisor,
)
from include.local_dbt_cloud.serving.connections import DBT_CLOUD as CONNECTION

HEARTBEAT_LIMIT = 30.0  # seconds without one until Airflow reports a component as unhealthy


def status(launch: Launch, console: Console) -> int:
    """Print a row for each process; return 0 only if all are healthy."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Process", "State", "Since", "Restarts", "URL, or last log line"):
        table.add_column(column, overflow="fold")
    if not console.is_terminal:
        console.width = 200  # do not wrap rows in a file or pipe
    all_healthy = True
    for supervisor in (airflow_supervisor(launch), servers_supervisor(launch)):
        if supervisor.has_orphans():
            all_healthy = False
            table.add_row(
                f"all of {supervisor.name}",
                "[red]unsupervised",
                "",
                "",
                "supervisord was killed: make start restarts it",
            )
        for state in supervisor.states().values():
            if state.is_running or state.crashed or supervisor.name == "airflow":
                healthy = state.is_running and _is_healthy(state, launch, supervisor)
                all_healthy &= healthy
                table.add_row(*_row(state, healthy, supervisor))
    if not table.row_count:
        console.print("Nothing is running. Start Airflow with make start.")
        return 1
    console.print(table)
    if not console.quiet:
        _print_dbt_cloud(_with_running_ports(launch), console)
    return 0 if all_healthy else 1


def _with_running_ports(launch: Launch) -> Launch:
    """Return the choices with the ports of the running processes, which may be different."""
    ports = {}
    for supervisor, name, variable in (
        (airflow_supervisor(launch), "api-server", "PORT"),
        (servers_supervisor(launch), DBT_CLOUD_SERVER.program_name, DBT_CLOUD_SERVER.variable),
    ):
        if name in supervisor.states():
            ports[variable] = str(urlsplit(supervisor.url(name)).port)
    return replace(launch, variables=launch.variables | ports)


def _print_dbt_cloud(launch: Launch, console: Console) -> None:
    """Print the active dbt Cloud, and whether its webhooks reach Airflow."""
    is_running = bool(airflow_supervisor(launch).states())
    stored = AirflowApi(launch.port).connection(CONNECTION.conn_id) if is_running else None
    in_backend = ""
    try:
        in_backend = check_connections(launch, console)
        active = active_dbt_cloud(launch, stored, in_backend)
    except LaunchError as error:
        active = f"dbt Cloud: {error}"
    console.print(Text(active))
    is_local_in_database = stored is None or is_local(stored.get("host"), stored.get("login"))
    uses_local = launch.uses_local_dbt_cloud and is_local_in_database and not in_backend
    if finding := _webhook(launch, uses_local):
        text = f"{finding.text} {finding.advice}".strip()
        console.print(Text(text, style=finding.advice and "yellow"))


def _webhook(launch: Launch, uses_local: bool) -> Finding | None:
    """Return whether the webhooks of the local dbt Cloud reach Airflow."""
    airflow = airflow_supervisor(launch)
    servers = servers_supervisor(launch)
    if not airflow.states():
        return None
    if not uses_local or DBT_CLOUD_SERVER.program_name not in servers.states():
        return Finding("Check the webhooks of dbt Cloud with make doctor.")
    server = servers.url(DBT_CLOUD_SERVER.program_name)
    return check_local_subscription(launch, airflow.url("api-server"), server)


def _row(state: State, healthy: bool, supervisor: Supervisor) -> list[str | Text]:
    url_or_log = supervisor.url(state.name)
    if not state.is_running:
        url_or_log = last_lines(supervisor.log(state.name), 1)
    return [
        state.name,
        Text(_state_text(state, healthy), style="green" if healthy else "red"),
        _duration(state.since),
        str(state.restarts),
        Text(url_or_log),
    ]


def _state_text(state: State, healthy: bool) -> str:
    if state.crashed:
        return "crashed, restarting"
    if not state.is_running:
        return "stopped"
    return "running" if healthy else "not responding yet"


def _is_healthy(state: State, launch: Launch, supervisor: Supervisor) -> bool:
    """Return whether the process is healthy; ``True`` if it has no health check."""
    for server in SERVERS:
        if state.name == server.program_name:
            return server.responds(launch, supervisor.url(state.name))
    kind = state.name.rstrip("-0123456789")
    api = AirflowApi(urlsplit(supervisor.url("api-server")).port or launch.port)
    if kind == "api-server":
        return kind in api.healthy_components()
    if kind in COMPONENTS:  # the last heartbeat may be of a killed process
        since = api.seconds_since_heartbeat(kind)
        return since is not None and since < min(state.since, HEARTBEAT_LIMIT)
    return True


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
