"""The terminal prompt for a task that waits for a person's response."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.prompt import Prompt
from rich.text import Text

from include.local_airflow.errors import LaunchError
from include.local_airflow.run.events import Question


def ask(question: Question, console: Console) -> str:
    """Return the chosen option; without a terminal, the default.

    Raises:
        LaunchError: there is neither a terminal nor a default.
    """
    if console.is_terminal and sys.stdin.isatty():
        from rich.markdown import Markdown  # a quarter of the import time of make run

        console.print(Markdown(f"{question.body}\n\n**{question.subject}**"))
        return Prompt.ask(
            question.task_id,
            console=console,
            choices=question.options,
            case_sensitive=False,
            default=question.default or ...,  # type: ignore[arg-type]  # no default, in rich
        )
    if question.default is None:
        raise LaunchError(
            f"{question.task_id} asks: {question.subject} This requires a terminal: run the "
            "command in one, or use make start and respond in the UI."
        )
    console.print(
        Text(
            f"{question.task_id} asks: {question.subject} Without a terminal, the default applies: "
            f"{question.default}. To respond in the UI, use make start."
        ),
        soft_wrap=True,
    )
    return question.default
