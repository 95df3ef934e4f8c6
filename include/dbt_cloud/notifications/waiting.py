"""Tells people that a task waits for their answer."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseNotifier

from .callbacks import facts_of_task
from .channels import Message, send


class NotifyWaiting(BaseNotifier):
    """For ``notifiers`` of Airflow's human-in-the-loop operators: what is asked, and where."""

    def notify(self, context: Any) -> None:
        ti, task = context["ti"], context["task"]
        url = task.generate_link_to_ui_from_context(context=context)
        message = Message(
            event="task.waits",
            subject=f"Waits for an answer: {ti.dag_id}.{ti.task_id}",
            lines=[task.subject, f"Answer {' or '.join(task.options)} at {url}"],
            details=task.body or "",
            facts=facts_of_task(ti) | {"answer_url": url, "options": task.options},
        )
        send(message)
