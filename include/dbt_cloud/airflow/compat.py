"""What this folder takes from Airflow and the provider that has moved lately, or is private.

Everything else comes from ``airflow.sdk`` and the public modules of the providers. So this is the
file to read, and to change, for another Airflow than 3.3.
"""

from __future__ import annotations

from typing import Any

# The provider asks for this package; it knows where 3.1 and later have these.
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

# Events of an asset that the task does not name among its inlets.
from airflow.sdk.execution_time.context import InletEventsAccessor

# A task instance in the triggerer has a pull, and no push that works.
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
    "job_id_of",
]


def job_id_of(operator: Any) -> int:
    """The job of a ``DbtCloudRunJobOperator``, also if it is given by project and names."""
    # Private, but the one way; a template leaves a string.
    return int(operator._resolve_job_id())
