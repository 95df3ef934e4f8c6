"""Tells people and programs how tasks and Dag runs went."""

from .callbacks import notify_failure, notify_late, notify_success

__all__ = ["notify_failure", "notify_late", "notify_success"]
