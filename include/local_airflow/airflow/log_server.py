"""Airflow's log server on the loopback address; Airflow itself binds it to all interfaces.

The UI reads the logs of running tasks from it. Requests without a token of the UI are refused.
"""

from __future__ import annotations

HOST = "127.0.0.1"
APP = "airflow.utils.serve_logs.log_server:get_app"  # for uvicorn


def hostname() -> str:
    """Return the host of task logs for the UI, as ``[core] hostname_callable``."""
    return HOST


def main() -> None:
    """Serve the logs until the process is ended."""
    import uvicorn  # not at module level: every Airflow process imports this module
    from airflow.configuration import conf

    port = conf.getint("logging", "worker_log_server_port")
    uvicorn.run(APP, factory=True, host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    main()
