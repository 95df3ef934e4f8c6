"""The prompt of ``make run`` for a task that waits for a person."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest
from rich.console import Console

from include.local_airflow.errors import LaunchError
from include.local_airflow.run.events import Question
from include.local_airflow.run.prompt import ask

QUESTION = Question(
    task_id="approve", subject="Build it?", body="- orders", options=["Yes", "No"], default="No"
)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Replace standard input by a terminal; yield the file descriptor for typed text."""
    master, terminal = os.openpty()
    with open(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield master
    os.close(master)


@pytest.mark.parametrize(("typed", "option"), [("maybe\nyes\n", "Yes"), ("\n", "No")])
def test_ask_repeats_until_an_option_is_entered(keyboard: int, typed: str, option: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    os.write(keyboard, typed.encode())

    assert ask(QUESTION, console) == option
    assert "orders" in console.file.getvalue()  # type: ignore[attr-defined]


def test_ask_raises_without_a_terminal_and_a_default() -> None:
    with pytest.raises(LaunchError, match="requires a terminal: run the command in one"):
        ask(QUESTION.model_copy(update={"default": None}), Console(file=io.StringIO()))
