"""Asks in the terminal what a task of the Dag wants to know from a person."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.prompt import Prompt
from rich.text import Text

from include.local_airflow.errors import LaunchError
from include.local_airflow.run.events import Question


def ask(question: Question, console: Console) -> str:
    """One of the options; where nobody can be asked, the one that Airflow takes in the end.

    Raises:
        LaunchError: there is none.
    """
    if console.is_terminal and sys.stdin.isatty():
        from rich.markdown import Markdown  # a quarter of what make run imports

        console.print(Markdown(f"{question.body}\n\n**{question.subject}**"))
        return Prompt.ask(
            question.task_id,
            console=console,
            choices=question.options,
            case_sensitive=False,
            default=question.default or ...,  # type: ignore[arg-type]  # rich's word for none
        )
    if question.default is None:
        raise LaunchError(
            f"{question.task_id} asks: {question.subject} There is no terminal to answer in: run "
            "the command in one, or take make start and answer in the UI."
        )
    console.print(
        Text(
            f"{question.task_id} asks: {question.subject} There is no terminal to answer in, so "
            f"the answer is {question.default}, as if nobody had answered in time. make start asks "
            "in the UI."
        ),
        soft_wrap=True,
    )
    return question.default
