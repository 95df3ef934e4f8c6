"""Responses for tasks that wait for a person, in the process that runs the Dag.

``dag.test()`` would wait for a response forever. A thread finds the waiting tasks, prompts in the
terminal, and stores the response as Airflow's API does.
"""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import TaskInstanceState
from sqlalchemy import select

from include.local_airflow.airflow.models import (
    HITLDetail,
    TaskInstance,
    TriggerEvent,
    create_session,
    handle_event_submit,
)
from include.local_airflow.run.events import Question

QUESTION_INTERVAL = 1.0  # seconds
Ask = Callable[[Question], str]


def answer_questions(dag_id: str, run_id: str, ask: Ask) -> None:
    """Find waiting tasks of the Dag run in a background thread; ``ask`` returns the responses."""
    threading.Thread(target=_watch, args=(dag_id, run_id, ask), daemon=True).start()


def _watch(dag_id: str, run_id: str, ask: Ask) -> None:
    waiting = select(TaskInstance.id).where(
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id == run_id,
        TaskInstance.state == TaskInstanceState.AWAITING_INPUT,
    )
    while True:
        time.sleep(QUESTION_INTERVAL)
        with create_session() as session:
            found = list(session.scalars(waiting))
        for task_instance_id in found:
            _answer(task_instance_id, ask)


def _answer(task_instance_id: Any, ask: Ask) -> None:
    """Ask and store the response, without a database session in between."""
    with create_session() as session:
        detail = session.get_one(HITLDetail, task_instance_id)
        question = Question(
            task_id=detail.task_instance.task_id,
            subject=detail.subject,
            body=detail.body or "",
            options=list(detail.options),
            default=next(iter(detail.defaults or []), None),
        )
    option = ask(question)
    with create_session() as session:
        detail = session.get_one(HITLDetail, task_instance_id)
        name = getpass.getuser()
        detail.responded_by = {"id": name, "name": name}
        detail.responded_at = datetime.now(UTC)
        detail.chosen_options = [option]
        event = TriggerEvent(detail.as_resume_event_payload())  # type: ignore[no-untyped-call]
        handle_event_submit(event, task_instance=detail.task_instance, session=session)
