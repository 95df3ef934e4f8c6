"""``make start`` and ``make stop``: Airflow, its metadata database and the local servers."""

from __future__ import annotations

import os
import time

from rich.console import Console
from rich.text import Text

from include.local_airflow.airflow.rest_api import COMPONENTS, AirflowApi
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import active_dbt_cloud, check_before_start
from include.local_airflow.settings.environment import make_keys
from include.local_airflow.settings.launch import Launch
from include.local_airflow.start.celery import require_broker
from include.local_airflow.start.database import start_with_database
from include.local_airflow.start.plan import StartPlan, airflow_supervisor, has_connections_of
from include.local_airflow.start.webhooks import receive_webhooks
from include.local_airflow.supervisor.client import Supervisor, last_lines
from include.local_airflow.supervisor.local_servers import servers_supervisor
from include.local_airflow.supervisor.locks_and_ports import exclusive_lock, require_free_port
from include.local_airflow.supervisor.sockets import remove_socket_folder
from include.local_dbt_cloud.serving.connections import DBT_CLOUD

STARTUP_TIMEOUT = 300.0  # seconds until all components have to be healthy, on a busy machine
LISTING_TIMEOUT = 60.0  # seconds without a new Dag; a file may be in .airflowignore
LOGIN = (
    "Airflow requires a login, so make start could not list the Dags (the UI shows import errors) "
    "and left the webhooks of dbt Cloud as they are. Watchers still find finished runs."
)
FIRST_DAG = "run_dbt_cloud_job"


def start(launch: Launch, console: Console) -> int:
    """Start what is not running yet, wait until all of it responds, and print the URLs.

    Raises:
        LaunchError: a port is in use, a setting is wrong, or a process ended while it started.
    """
    in_backend = check_before_start(launch, console)
    make_keys(launch.home)
    with exclusive_lock(launch.home / "start.lock", blocking=False):
        plan = StartPlan.of(launch)
        _start(plan, console)
        _print_urls(plan, in_backend, console)
    return 0


def _start(plan: StartPlan, console: Console) -> None:
    launch, supervisor = plan.launch, airflow_supervisor(plan.launch)
    is_running = _is_running(plan, supervisor)
    require_broker(plan.broker)
    for server in plan.servers:
        server.start(launch, "start", console.print)
    try:
        if not is_running:
            start_with_database(plan, supervisor, console)
            console.print("Starting Airflow ...")
        supervisor.start(*(program.name for program in plan.programs))
        for server in plan.servers:
            server.wait(launch)
        _wait_until_ready(plan, supervisor, console, healing=is_running)
        if not plan.api.asks_for_login():
            receive_webhooks(launch, plan.api)
    except BaseException:
        if not is_running:
            supervisor.shut_down()
        raise
    if is_running:
        console.print("Airflow is running already.")


def stop(launch: Launch, console: Console) -> int:
    """Stop everything that ``start`` and ``run`` left running."""
    names = [*airflow_supervisor(launch).shut_down(), *servers_supervisor(launch).shut_down()]
    remove_socket_folder(launch.home)
    console.print(f"Stopped {', '.join(names)}." if names else "Nothing was running.")
    return 0


def _is_running(plan: StartPlan, supervisor: Supervisor) -> bool:
    """Return whether Airflow runs as planned; make sure that it can start if it does not run.

    Raises:
        LaunchError: it runs with other settings, or its port is in use.
    """
    if not supervisor.is_running():
        supervisor.shut_down()  # programs that a killed supervisor left would hold the port
        require_free_port(plan.launch.port, "PORT", "start")
        return False
    if supervisor.matches(plan.programs) and has_connections_of(plan.launch, supervisor):
        return True
    raise LaunchError(
        f"Airflow runs already on {supervisor.url('api-server')}, with other settings. "
        "Run make stop, then make start."
    )


def _wait_until_ready(
    plan: StartPlan, supervisor: Supervisor, console: Console, healing: bool
) -> None:
    """Print each component once it is healthy, until all are and the Dags are listed.

    Dags are not listed if Airflow requires a login. A component that ends stops a first start;
    with ``healing`` the supervisor restarts it.
    """
    deadline = time.monotonic() + STARTUP_TIMEOUT
    healthy: set[str] = set()
    before = supervisor.states()
    while True:
        now_healthy = plan.api.healthy_components()
        for name, state in supervisor.states().items():
            if not healing and (state.restarts > before[name].restarts or state.crashed):
                raise LaunchError(
                    f"Airflow's {name} ended while it started. The end of "
                    f"{os.path.relpath(supervisor.log(name), plan.launch.root)}:\n"
                    f"{last_lines(supervisor.log(name))}"
                )
        for name in sorted(now_healthy - healthy):
            console.print(f"  {name} is up")
        healthy |= now_healthy
        if now_healthy == COMPONENTS:
            if not plan.api.asks_for_login():
                _wait_for_dags(plan.launch, plan.api, console)
            return
        if time.monotonic() > deadline:
            raise LaunchError(
                f"Airflow was not ready after {STARTUP_TIMEOUT:.0f} s (still waiting for: "
                f"{', '.join(COMPONENTS - now_healthy)}). See .airflow/logs, then run make start."
            )
        time.sleep(0.5)


def _wait_for_dags(launch: Launch, api: AirflowApi, console: Console) -> None:
    """Wait until each Dag file is listed, as a Dag or as an import error."""
    unlisted, changed = set[str](), time.monotonic()
    while now_unlisted := api.unlisted(launch.dags_folder):
        if now_unlisted != unlisted:
            unlisted, changed = now_unlisted, time.monotonic()
        elif time.monotonic() > changed + LISTING_TIMEOUT:
            console.print(f"Airflow has not listed {', '.join(sorted(unlisted))} yet.")
            return
        time.sleep(0.5)


def _print_urls(plan: StartPlan, in_backend: str, console: Console) -> None:
    launch, api = plan.launch, plan.api
    for file, reason in api.import_errors().items():
        console.print(Text(f"Warning: {file} cannot be imported ({reason}).", style="yellow"))
    console.print(f"Airflow: http://127.0.0.1:{launch.port}")
    if api.asks_for_login():
        console.print(LOGIN)
    for server in plan.servers:
        console.print(f"The {server.name}: {server.url(launch)}")
    found = active_dbt_cloud(launch, api.connection(DBT_CLOUD.conn_id), in_backend)
    console.print(Text(found), soft_wrap=True)
    if (launch.dags_folder / f"{FIRST_DAG}.py").exists():
        console.print(
            f"Open http://127.0.0.1:{launch.port}/dags/{FIRST_DAG} first and press Trigger. Dags "
            "with a schedule stay paused until you switch them on."
        )
    console.print(
        "make status lists all processes, make logs tails their logs, make stop ends them."
    )
