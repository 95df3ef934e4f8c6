"""``python -m include.local_airflow run DAG | start | status | doctor [DAG] | stop``."""

from __future__ import annotations

import argparse
import signal
import sys

from rich.console import Console

from include.local_airflow.errors import run_reporting_errors
from include.local_airflow.settings.launch import Launch


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="include.local_airflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one Dag end to end")
    run.add_argument("dag_id", metavar="DAG")
    commands.add_parser("start", help="start Airflow and the local dbt Cloud in the background")
    commands.add_parser("status", help="show each process, its uptime and its URL")
    doctor = commands.add_parser("doctor", help="check the connections and every job id")
    doctor.add_argument("dag_id", metavar="DAG", nargs="?", default="", help="check only this Dag")
    commands.add_parser("stop", help="stop everything that run and start left running")
    return parser


def main() -> int:
    """Run the command; return the exit code."""
    arguments = _parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # clean up as after Ctrl-C
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)
    return run_reporting_errors(lambda: _run_command(arguments), interrupted="Stopped.")


def _run_command(arguments: argparse.Namespace) -> int:
    launch, console = Launch.read(), Console(highlight=False, soft_wrap=True)
    if arguments.command == "run":
        from include.local_airflow.run.command import run_dag

        return run_dag(arguments.dag_id, launch, console)
    from include.local_airflow.doctor.command import doctor
    from include.local_airflow.start.command import start, stop
    from include.local_airflow.status import status

    if arguments.command == "doctor":
        return doctor(launch, console, arguments.dag_id)
    command = {"start": start, "status": status, "stop": stop}
    return command[arguments.command](launch, console)


if __name__ == "__main__":
    sys.exit(main())
