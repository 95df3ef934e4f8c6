"""Tells people and programs how tasks and Dag runs went."""

from .callbacks import notify_failed_run, notify_failure, notify_late, notify_success

__all__ = ["notify_failed_run", "notify_failure", "notify_late", "notify_success"]
