"""Fail a task at once, without its retries, if a retry would fail again.

Airflow imports a module of this name and calls ``task_policy`` for each task of each Dag:
https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/cluster-policies.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


def task_policy(task: BaseOperator) -> None:
    """Set the policy for a task without one, also for the provider's operators."""
    from include.dbt_cloud.run.retry_policy import DbtCloudRetryPolicy

    task.retry_policy = task.retry_policy or DbtCloudRetryPolicy()
