"""Fields of a job that are stored and have no effect here; README.md has the reasons."""

from __future__ import annotations

from .schemas import JobFields

FIELDS = (
    "run_lint",
    "errors_on_lint_failure",
    "run_compare_changes",
    "compare_changes_flags",
    "cost_optimization_features",
    "force_node_selection",
    "triggers_on_draft_pr",
    "lifecycle_webhooks",
    "lifecycle_webhooks_url",
)
TRIGGERS = ("github_webhook", "git_provider_webhook", "on_merge")
PLAIN = JobFields(project_id=1, environment_id=1, name="plain")


def fields_without_effect(job: JobFields) -> list[str]:
    """Return the fields without an effect that have another value than the default."""
    fields = [name for name in FIELDS if getattr(job, name) != getattr(PLAIN, name)]
    return fields + [name for name in TRIGGERS if getattr(job.triggers, name)]
