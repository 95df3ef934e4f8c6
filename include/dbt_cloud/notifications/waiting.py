"""Notify people about a task that waits for an answer."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseNotifier

from .callbacks import facts_of_task
from .channels import Message, send


class NotifyWaiting(BaseNotifier):
    """Sends the question and its URL, for ``notifiers`` of human-in-the-loop operators."""

    def notify(self, context: Any) -> None:
        ti, task = context["ti"], context["task"]
        url = task.generate_link_to_ui_from_context(context=context)
        message = Message(
            event="task.waits",
            subject=f"Waiting for an answer: {ti.dag_id}.{ti.task_id}",
            lines=[task.subject, f"Answer {' or '.join(task.options)} at {url}"],
            details=task.body or "",
            facts=facts_of_task(ti) | {"answer_url": url, "options": task.options},
        )
        send(message)
