"""The variables that dbt Cloud sets for each dbt command; dbt projects read them in macros.

https://docs.getdbt.com/docs/build/environment-variables#special-environment-variables
"""

from __future__ import annotations

from ..storage.schemas import Environment
from ..storage.tables import RunRow

# dbt copies variables with this prefix, without it, into the `metadata.env` of its artifacts.
IN_ARTIFACTS = "DBT_ENV_CUSTOM_ENV_"


def cloud_variables(run: RunRow, environment: Environment) -> dict[str, str]:
    """Return the variables of a run; those of pull request and commit only if it has them."""
    values = {
        "ACCOUNT_ID": run.account_id,
        "PROJECT_ID": run.project_id,
        "ENVIRONMENT_ID": run.environment_id,
        "ENVIRONMENT_NAME": environment.name,
        "ENVIRONMENT_TYPE": environment.type,
        "INVOCATION_CONTEXT": invocation_context(run, environment),
        "JOB_ID": run.job_id,
        "RUN_ID": run.id,
        "RUN_REASON": run.trigger["cause"],
        "RUN_REASON_CATEGORY": run.cause_category,
        "PR_ID": run.pull_request,
        "GIT_SHA": run.git_sha,
    }
    variables = {f"DBT_CLOUD_{name}": f"{value}" for name, value in values.items() if value}
    return variables | {f"{IN_ARTIFACTS}{name}": value for name, value in variables.items()}


def invocation_context(run: RunRow, environment: Environment) -> str:
    """Return ``ci``, ``dev``, ``staging`` or ``prod``."""
    if run.is_ci:
        return "ci"
    if environment.type == "development":
        return "dev"
    return "staging" if environment.deployment_type == "staging" else "prod"
