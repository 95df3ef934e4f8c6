"""Starts Airflow's supervisor, and its database before all other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.metadata_database import public_name
from include.local_airflow.start import postgres
from include.local_airflow.start.plan import StartPlan
from include.local_airflow.supervisor.client import Supervisor, last_lines
from include.local_dbt_cloud.serving.ports import free_port

GO = b"go\n"  # the line that ``airflow/prepare_database.py`` waits for


def start_with_database(plan: StartPlan, supervisor: Supervisor, console: Console) -> None:
    """Start the supervisor, wait for the database and prepare it for Airflow.

    Raises:
        LaunchError: the database does not respond, or could not be prepared.
    """
    environment = plan.environment(free_port())
    with _preparation(plan, environment) as prepare:
        if plan.embeds_database:
            console.print("Preparing Airflow's metadata database ...")
            postgres.make_data(plan.launch.home)
            supervisor.launch(plan.programs, environment)
            supervisor.start(postgres.NAME)
            postgres.wait_until_ready(plan.database, lambda: _failure(supervisor))
        else:
            name = public_name(plan.database)
            console.print(f"Preparing Airflow's metadata database on {name} (DATABASE_URL) ...")
            postgres.require_answer(plan.database, name)
            supervisor.launch(plan.programs, environment)
        prepare()


def _failure(supervisor: Supervisor) -> str | None:
    """Return the end of PostgreSQL's log if it has ended."""
    state = supervisor.states().get(postgres.NAME)
    return last_lines(supervisor.log(postgres.NAME)) if state is None or state.crashed else None


@contextmanager
def _preparation(plan: StartPlan, environment: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Yield a function that prepares the database.

    Its process imports Airflow while the database server starts.
    """
    log = plan.launch.home / "logs" / "database.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "include.local_airflow.airflow.prepare_database"]
    command += [str(plan.database.mark)] if plan.database.mark else []
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=plan.launch.root,
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
                    f"The metadata database could not be prepared ({''.join(last)}). See "
                    f"{os.path.relpath(log, plan.launch.root)}."
                )

        try:
            yield prepare
        except BaseException:
            process.kill()
            raise
