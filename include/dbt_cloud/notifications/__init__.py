"""Tells people and programs how tasks and Dag runs went."""

from .callbacks import notify_failed_run, notify_failure, notify_late, notify_success
from .waiting import NotifyWaiting

__all__ = [
    "NotifyWaiting",
    "notify_failed_run",
    "notify_failure",
    "notify_late",
    "notify_success",
]
