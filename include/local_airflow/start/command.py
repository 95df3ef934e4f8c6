"""`make start`, `make stop`: Airflow, its metadata database and the local servers, watched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from include.local_airflow.airflow.rest_api import COMPONENTS, AirflowApi
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import (
    BACKEND,
    check_before_start,
    dbt_cloud_in_use,
)
from include.local_airflow.settings.connection_variable import PREFIX
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import (
    MetadataDatabase,
    given_database,
    public_name,
)
from include.local_airflow.start import postgres
from include.local_airflow.start.celery import broker_settings
from include.local_airflow.start.programs import airflow_programs, log_server_settings
from include.local_airflow.start.webhooks import receive_webhooks
from include.local_airflow.supervisor.client import Watcher, last_lines
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.local_servers import servers_watcher, wanted_servers
from include.local_airflow.supervisor.locks_and_ports import free_port, only_one, require_free_port
from include.local_airflow.supervisor.sockets import remove_socket_folder
from include.local_servers.connections import DBT_CLOUD

PATIENCE = 300.0  # seconds until all components have to be healthy, on a busy machine
LIST_PATIENCE = 60.0  # seconds until no further Dag is waited for: one may be in .airflowignore
LOGIN = (
    "Airflow asks for a login: whether all Dag files can be imported, its UI says. The webhooks of "
    "dbt Cloud stay as they are; watchers hear of finished runs."
)
FIRST_DAG = "run_dbt_cloud_job"
GO = b"go\n"  # what `include.local_airflow.airflow.prepare_database` waits for


def airflow_watcher(launch: Launch) -> Watcher:
    """Return what watches Airflow and its database."""
    return Watcher("airflow", launch.root, launch.home)


def start(launch: Launch, console: Console) -> int:
    """Start what does not run yet, wait until everything answers, print the URLs.

    Raises:
        LaunchError: a port is taken, a setting is wrong, or a process ended while starting.
    """
    in_backend = check_before_start(launch, console)
    launch.make_keys()
    with only_one(launch.home, "start"):
        return _start(launch, in_backend, console)


def _start(launch: Launch, in_backend: str, console: Console) -> int:
    watcher, database = airflow_watcher(launch), database_of(launch)
    programs = _programs(launch)
    running = watcher.lives()
    if running and not (watcher.runs(programs) and has_connections_of(launch, watcher)):
        raise LaunchError(
            f"Airflow runs already on {watcher.url('api-server')}, with other settings: make stop "
            "ends it, then make start takes the new ones."
        )
    if not running:
        watcher.end()  # what a killed watcher has left would hold the port
        require_free_port(launch.port, "PORT", "start")
    broker = broker_settings(launch)
    for server in wanted_servers(launch):
        server.start(launch, "start", console.print)
    try:
        if not running:
            _begin(launch, watcher, database, programs, broker, console)
        watcher.start(*(each.name for each in programs))
        for server in wanted_servers(launch):
            server.wait(launch)
        _wait_until_ready(launch, watcher, console, healing=running)
        if not AirflowApi(launch.port).asks_for_login():
            receive_webhooks(launch, AirflowApi(launch.port))
    except BaseException:
        if not running:
            watcher.end()
        raise
    if running:
        console.print("Airflow is running already.")
    _print_urls(launch, in_backend, console)
    return 0


def stop(launch: Launch, console: Console) -> int:
    """End everything that `start` and `run` left running."""
    names = [*airflow_watcher(launch).end(), *servers_watcher(launch).end()]
    remove_socket_folder(launch.home)
    console.print(f"Stopped {', '.join(names)}." if names else "Nothing was running.")
    return 0


def database_of(launch: Launch) -> MetadataDatabase:
    """Return the database of `make start`."""
    url = launch.variables.get("DATABASE_URL")
    return given_database(url) if url else postgres.database(launch.home)


def has_connections_of(launch: Launch, watcher: Watcher) -> bool:
    """Tell whether what runs was begun with the connections, and the backend, that are set now."""
    then, now = watcher.environment(), launch.variables
    names = {name for name in {*then, *now} if name.startswith((PREFIX, BACKEND))}
    return all(then.get(name) == now.get(name) for name in names)


def _programs(launch: Launch) -> list[Program]:
    embedded = [] if "DATABASE_URL" in launch.variables else [postgres.program(launch.home)]
    return [*embedded, *airflow_programs(launch)]


def _begin(
    launch: Launch,
    watcher: Watcher,
    database: MetadataDatabase,
    programs: list[Program],
    broker: dict[str, str],
    console: Console,
) -> None:
    """Start the watcher and, before all others, the database."""
    environment = log_server_settings(free_port()) | launch.environment(database) | broker
    with _preparation(launch, database, environment) as prepare:
        if "DATABASE_URL" in launch.variables:
            name = public_name(database)
            console.print(f"Preparing Airflow's metadata database on {name} (DATABASE_URL) ...")
            postgres.require_answer(database, name)
            watcher.begin(programs, environment)
        else:
            console.print("Preparing Airflow's metadata database ...")
            postgres.make_data(launch.home)
            watcher.begin(programs, environment)
            watcher.start(postgres.NAME)
            postgres.wait_until_ready(database, lambda: _failure(watcher, postgres.NAME))
        prepare()
    console.print("Starting Airflow ...")


def _failure(watcher: Watcher, name: str) -> str | None:
    """Return the end of a program's log if it has ended."""
    state = watcher.states().get(name)
    return last_lines(watcher.log(name)) if state is None or state.died else None


@contextmanager
def _preparation(
    launch: Launch, database: MetadataDatabase, environment: dict[str, str]
) -> Iterator[Callable[[], None]]:
    """Yield what prepares the database; Airflow is imported for it while the server starts."""
    log = launch.home / "logs" / "database.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "include.local_airflow.airflow.prepare_database"]
    command += [str(database.mark)] if database.mark else []
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=launch.root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):

        def prepare() -> None:
            process.communicate(GO)
            if process.returncode:
                last = log.read_text().strip().splitlines()[-1:]
                raise LaunchError(
                    f"The metadata database could not be prepared ({''.join(last)}): read "
                    f"{os.path.relpath(log, launch.root)}."
                )

        try:
            yield prepare
        except BaseException:
            process.kill()
            raise


def _wait_until_ready(launch: Launch, watcher: Watcher, console: Console, healing: bool) -> None:
    """Print each component as it comes up, until all are healthy and the Dags are listed.

    If Airflow asks for a login, it lists none. A component that ends stops a first start; while it
    is `healing`, it is started again.
    """
    api, deadline = AirflowApi(launch.port), time.monotonic() + PATIENCE
    healthy: set[str] = set()
    before = watcher.states()
    while True:
        now_healthy = api.healthy_components()
        for name, state in watcher.states().items():
            if not healing and (state.restarts > before[name].restarts or state.died):
                raise LaunchError(
                    f"Airflow's {name} ended while it started. The end of "
                    f"{os.path.relpath(watcher.log(name), launch.root)}:\n"
                    f"{last_lines(watcher.log(name))}"
                )
        for name in sorted(now_healthy - healthy):
            console.print(f"  {name} is up")
        healthy |= now_healthy
        if now_healthy == COMPONENTS:
            if not api.asks_for_login():
                _wait_for_dags(launch, api, console)
            return
        if time.monotonic() > deadline:
            raise LaunchError(
                f"Airflow was not ready after {PATIENCE:.0f} s, what is missing is "
                f"{', '.join(COMPONENTS - now_healthy)}: read the logs in .airflow/logs and start "
                "again."
            )
        time.sleep(0.5)


def _wait_for_dags(launch: Launch, api: AirflowApi, console: Console) -> None:
    """Wait for each Dag file to be a Dag or an import error, some time after the last that was."""
    unlisted, changed = set[str](), time.monotonic()
    while now_unlisted := api.unlisted(launch.dags_folder):
        if now_unlisted != unlisted:
            unlisted, changed = now_unlisted, time.monotonic()
        elif time.monotonic() > changed + LIST_PATIENCE:
            console.print(f"No Dag has come yet from {', '.join(sorted(unlisted))}.")
            return
        time.sleep(0.5)


def _print_urls(launch: Launch, in_backend: str, console: Console) -> None:
    api = AirflowApi(launch.port)
    for file, reason in api.import_errors().items():
        console.print(Text(f"Warning: {file} cannot be imported ({reason}).", style="yellow"))
    console.print(f"Airflow: http://127.0.0.1:{launch.port}")
    if api.asks_for_login():
        console.print(LOGIN)
    for server in wanted_servers(launch):
        console.print(f"The {server.name}: {server.url(launch)}")
    found = dbt_cloud_in_use(launch, api.connection(DBT_CLOUD.conn_id), in_backend)
    console.print(Text(found), soft_wrap=True)
    if (launch.dags_folder / f"{FIRST_DAG}.py").exists():
        console.print(
            f"Open http://127.0.0.1:{launch.port}/dags/{FIRST_DAG} first and press Trigger. Dags "
            "with a schedule stay paused until you switch them on."
        )
    console.print("make status shows what runs, make logs what it says, make stop ends everything.")
