"""The commands of a job: one dbt command with arguments, never a shell."""

from __future__ import annotations

import re
import shlex
from itertools import dropwhile

ACCEPTED = frozenset(
    {
        ("build",),
        ("clone",),
        ("compile",),
        ("deps",),
        ("docs", "generate"),
        ("list",),
        ("ls",),
        ("parse",),
        ("retry",),
        ("run",),
        ("run-operation",),
        ("seed",),
        ("show",),
        ("snapshot",),
        ("source", "freshness"),
        ("source", "snapshot-freshness"),  # its older name
        ("test",),
    }
)

# The server sets the run's folder and profile itself.
REFUSED_OPTIONS = frozenset(
    {
        "--defer-state",
        "--deprecated-state",
        "--log-path",
        "--partial-parse-file-path",
        "--profile",
        "--profiles-dir",
        "--project-dir",
        "--record-timing-info",
        "--state",
        "--target-path",
    }
)

# One-letter options may be combined, as in `-dxr FILE`: -r is --record-timing-info, and only
# `dbt source freshness` has -o, --output, for the file of its results.
FRESHNESS = frozenset({"freshness", "snapshot-freshness"})
TIMING_FILE = re.compile(r"-[dfhqvxV]*r")
RESULTS_FILE = re.compile(r"-[dfhqvxV]*o|--output$")

# `dbt retry` resumes these (https://docs.getdbt.com/reference/commands/retry).
RETRYABLE = frozenset(
    {"build", "clone", "compile", "docs", "run", "run-operation", "seed", "snapshot", "test"}
)


def parse_command(command: str) -> list[str]:
    """Return the arguments of a dbt command, without ``dbt`` itself.

    Raises ValueError with a message for the user if the text is anything but one accepted dbt
    command.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"`{command}` could not be parsed: {error}.") from None
    if not words or words[0] != "dbt":
        raise ValueError(f"`{command}` is not a dbt command: a step starts with `dbt `.")
    arguments = words[1:]
    _check_subcommand(command, without_leading_flags(arguments))
    _check_options(command, arguments)
    return arguments


def without_leading_flags(arguments: list[str]) -> list[str]:
    """Return the arguments from the subcommand on: ``build`` of ``--warn-error build``."""
    return list(dropwhile(lambda word: word.startswith("-"), arguments))


def is_retryable(command: str) -> bool:
    return without_leading_flags(parse_command(command))[0] in RETRYABLE


def _check_subcommand(command: str, arguments: list[str]) -> None:
    if tuple(arguments[:1]) in ACCEPTED or tuple(arguments[:2]) in ACCEPTED:
        return
    accepted = ", ".join(" ".join(words) for words in sorted(ACCEPTED))
    raise ValueError(f"`{command}` is not accepted: the subcommand must be one of: {accepted}.")


def _check_options(command: str, arguments: list[str]) -> None:
    for argument in arguments:
        option = argument.partition("=")[0]
        names_file = TIMING_FILE.match(option) or (
            FRESHNESS.intersection(arguments) and RESULTS_FILE.match(option)
        )
        if option in REFUSED_OPTIONS or names_file:
            raise ValueError(f"`{command}` is not accepted: each run sets {option} itself.")
