"""All imports from Airflow beyond ``airflow.sdk``, the providers and the REST API.

They are not part of Airflow's public API: adapt this file to Airflow versions other than 3.3. Names
are imported on first access, because all imports together take seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow import __version__ as __version__
    from airflow.__main__ import main as main
    from airflow.configuration import conf as conf
    from airflow.configuration import ensure_secrets_loaded as ensure_secrets_loaded
    from airflow.dag_processing.dagbag import DagBag as DagBag
    from airflow.executors.local_executor import LocalExecutor as LocalExecutor
    from airflow.listeners import hookimpl as hookimpl
    from airflow.models.connection import Connection as Connection
    from airflow.models.hitl import HITLDetail as HITLDetail
    from airflow.models.pool import Pool as Pool
    from airflow.models.taskinstance import TaskInstance as TaskInstance
    from airflow.models.trigger import handle_event_submit as handle_event_submit
    from airflow.models.variable import Variable as Variable
    from airflow.models.xcom import XComModel as XComModel
    from airflow.sdk.exceptions import AirflowException as AirflowException
    from airflow.sdk.listener import get_listener_manager as get_listener_manager
    from airflow.triggers.base import TriggerEvent as TriggerEvent
    from airflow.utils.db import upgradedb as upgradedb
    from airflow.utils.db_cleanup import run_cleanup as run_cleanup
    from airflow.utils.session import create_session as create_session

MODULES = {
    "__version__": "airflow",
    "AirflowException": "airflow.sdk.exceptions",
    "Connection": "airflow.models.connection",
    "DagBag": "airflow.dag_processing.dagbag",
    "HITLDetail": "airflow.models.hitl",
    "LocalExecutor": "airflow.executors.local_executor",
    "Pool": "airflow.models.pool",
    "TaskInstance": "airflow.models.taskinstance",
    "Variable": "airflow.models.variable",
    "TriggerEvent": "airflow.triggers.base",
    "XComModel": "airflow.models.xcom",
    "conf": "airflow.configuration",
    "create_session": "airflow.utils.session",
    "ensure_secrets_loaded": "airflow.configuration",
    "get_listener_manager": "airflow.sdk.listener",
    "handle_event_submit": "airflow.models.trigger",
    "hookimpl": "airflow.listeners",
    "main": "airflow.__main__",
    "run_cleanup": "airflow.utils.db_cleanup",
    "upgradedb": "airflow.utils.db",
}
LOG_SERVER = "airflow.utils.serve_logs.log_server:get_app"  # in uvicorn's notation


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"{name} is not listed in {__name__}")
    return getattr(import_module(MODULES[name]), name)
