"""All imports of recently moved or private code of Airflow and the provider.

Other modules import only ``airflow.sdk`` and the providers' public modules. To support another
Airflow than 3.3, change this file.
"""

from __future__ import annotations

# The provider requires this package, which finds these in Airflow 3.1 and later.
from airflow.providers.common.compat.connection import (
    get_async_connection,
    get_async_extra_dejson,
)
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
    conf,
)

# Not documented by the provider.
from airflow.providers.dbt.cloud.hooks.dbt import DBT_CAUSE_MAX_LENGTH
from airflow.providers.dbt.cloud.utils.openlineage import (
    inject_parent_job_information_into_dbt_cloud_cause,
)

# Events of an asset that is not one of the task's inlets.
from airflow.sdk.execution_time.context import InletEventsAccessor

# In the triggerer, a task instance can pull XComs, but not push them.
from airflow.sdk.execution_time.xcom import XCom

# `BaseEventTrigger` shares streams from 3.3 on.
from airflow.triggers.base import (
    BaseEventTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

__all__ = [
    "DBT_CAUSE_MAX_LENGTH",
    "AdvanceItem",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "BaseEventTrigger",
    "InletEventsAccessor",
    "SharedStreamProducer",
    "StartTriggerArgs",
    "TaskFailedEvent",
    "TaskSkippedEvent",
    "TaskSuccessEvent",
    "TriggerEvent",
    "XCom",
    "conf",
    "get_async_connection",
    "get_async_extra_dejson",
    "inject_parent_job_information_into_dbt_cloud_cause",
]
