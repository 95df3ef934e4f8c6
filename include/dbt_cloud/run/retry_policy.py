"""A retry policy for tasks that use dbt Cloud.

``plugins/airflow_local_settings.py`` sets it for every task without a policy. Needs Airflow 3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context

REFUSED = "dbt Cloud refused the call"
IN_THE_CODE = "dbt fails on this code until it is changed"


class DbtCloudRetryPolicy(RetryPolicy):
    """Fails a task at once if a retry would fail again.

    These are calls that dbt Cloud refused (400, 401, 403 or 404), and runs that failed on code that
    dbt or the warehouse cannot parse. Other failures use the task's own retries.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        from ..api.advice import is_refused  # here, since every task has this policy and few fail

        if is_refused(exception):
            return RetryDecision.fail(REFUSED)
        if context is not None and _failed_in_the_code(exception, context):
            return RetryDecision.fail(IN_THE_CODE)
        return RetryDecision.default()


def _failed_in_the_code(exception: BaseException, context: Context) -> bool:
    """Return whether the run of the provider's operator or sensor failed on its code."""
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException

    from ..api.client import DbtCloudClient
    from .failures import describe_failure, is_in_the_code
    from .operator import DbtCloudRunJobExactlyOnceOperator

    task = context["task"]
    run_id = getattr(task, "run_id", None)
    hook = getattr(task, "hook", None)
    if not isinstance(exception, DbtCloudJobRunException) or run_id is None or hook is None:
        return False
    if isinstance(task, DbtCloudRunJobExactlyOnceOperator):
        return False  # it has read the failure itself, and raises AirflowFailException for code
    client = DbtCloudClient(hook, getattr(task, "account_id", None), retry_seconds=0)
    return is_in_the_code(describe_failure(client, int(run_id)))
