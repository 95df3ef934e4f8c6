"""Airflow's own log server, on the loopback address: Airflow binds it to every interface.

The UI asks it for the log of a task that runs; it refuses whoever has no token of the UI's.
"""

from __future__ import annotations

HOST = "127.0.0.1"


def hostname() -> str:
    """`[core] hostname_callable`: where the UI looks for a task's log."""
    return HOST


def main() -> None:
    """Serve the logs until the process is ended."""
    import uvicorn  # here, since every process of Airflow imports this file

    from include.local_airflow.airflow.internals import LOG_SERVER, conf

    port = conf.getint("logging", "worker_log_server_port")
    uvicorn.run(LOG_SERVER, factory=True, host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    main()
