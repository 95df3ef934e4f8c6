"""Airflow's models, sessions and listeners, for the modules outside this folder.

They are not part of Airflow's public API: adapt this folder to Airflow versions other than 3.3.
"""

from __future__ import annotations

from airflow.configuration import ensure_secrets_loaded as ensure_secrets_loaded
from airflow.listeners import hookimpl as hookimpl
from airflow.models.connection import Connection as Connection
from airflow.models.hitl import HITLDetail as HITLDetail
from airflow.models.taskinstance import TaskInstance as TaskInstance
from airflow.models.trigger import handle_event_submit as handle_event_submit
from airflow.models.xcom import XComModel as XComModel
from airflow.sdk.exceptions import AirflowException as AirflowException
from airflow.sdk.listener import get_listener_manager as get_listener_manager
from airflow.triggers.base import TriggerEvent as TriggerEvent
from airflow.utils.session import create_session as create_session
