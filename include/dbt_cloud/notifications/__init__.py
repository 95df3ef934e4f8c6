"""Notify people and programs about tasks and Dag runs."""

from .callbacks import notify_failed_run, notify_failure, notify_late, notify_success
from .waiting import NotifyWaiting

__all__ = [
    "NotifyWaiting",
    "notify_failed_run",
    "notify_failure",
    "notify_late",
    "notify_success",
]
