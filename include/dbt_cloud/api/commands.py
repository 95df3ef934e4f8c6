"""Parse dbt command lines, and change what they select."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

# These build their selection: https://docs.getdbt.com/reference/node-selection/syntax
SELECTING = {"build", "run", "seed", "snapshot", "test"}
ALONE = {"run": "model", "seed": "seed", "snapshot": "snapshot"}  # the kind that each builds
SELECTORS = {"--select", "-s", "--models", "--model", "-m", "--exclude", "--selector"}
# The word after one of these is not the command: https://docs.getdbt.com/reference/global-configs
WITH_VALUE = {
    *SELECTORS,
    *("--add-package", "--args", "--defer-state", "--deprecated-defer", "--deprecated-favor-state"),
    *("--deprecated-state", "--event-time-end", "--event-time-start", "--exclude-resource-type"),
    *("--exclude-resource-types", "--host", "--indirect-selection", "--inline", "--inline-direct"),
    *("--limit", "--log-file-max-bytes", "--log-format", "--log-format-file", "--log-level"),
    *("--log-level-file", "--log-path", "--output", "-o", "--output-keys"),
    *("--partial-parse-file-path", "--port", "--printer-width", "--profile", "--profiles-dir"),
    *("--project-dir", "--record-timing-info", "-r", "--resource-type", "--resource-types"),
    *("--sample", "--source", "--sqlparse", "--state", "--target", "-t", "--target-path"),
    *("--threads", "--vars", "--warn-error-options"),
}


def words_of(command: str) -> list[str]:
    """Return the command's words; none if a quotation mark is not closed."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


def place_of_verb(words: list[str]) -> int | None:
    """Return the index of the first word that is neither an option nor an option's value."""
    is_value = True  # so that `dbt` itself is skipped
    for place, word in enumerate(words):
        if not is_value and not word.startswith("-"):
            return place
        is_value = not is_value and word in WITH_VALUE
    return None


def verb_of(command: str) -> str:
    """Return the name of the dbt command; empty if there is none.

    >>> verb_of("dbt --target prod build --select run")
    'build'
    """
    words = words_of(command)
    place = place_of_verb(words)
    return "" if place is None else words[place]


def can_build(command: str, unique_ids: Iterable[str]) -> bool:
    """Return whether the command builds or tests nodes of these kinds.

    >>> can_build("dbt seed", ["model.shop.orders"]), can_build("dbt test", ["model.shop.orders"])
    (False, True)
    """
    verb = verb_of(command)
    kinds = {unique_id.partition(".")[0] for unique_id in unique_ids}
    return verb in SELECTING and (verb not in ALONE or ALONE[verb] in kinds)


def select_only(command: str, selectors: list[str]) -> str | None:
    """Return the command with another selection and the same options; None if it builds no nodes.

    >>> select_only("dbt build --select marts tag:daily --vars '{a: b}'", ["orders"])
    "dbt build --vars '{a: b}' --select orders"
    """
    words = words_of(command)
    place = place_of_verb(words)
    if place is None or words[place] not in SELECTING:
        return None
    kept = without_selection(words[place + 1 :])
    return shlex.join([*words[: place + 1], *kept, "--select", *selectors])


def without_selection(words: list[str]) -> Iterator[str]:
    """Yield the words without selecting options and their values."""
    is_dropping = False
    for word in words:
        if word.startswith("-"):
            is_dropping = is_selecting(word)
        if not is_dropping:
            yield word


def is_selecting(option: str) -> bool:
    """Return whether the option selects nodes, also in the form ``--select=orders``, ``-sorders``.

    >>> is_selecting("-sorders"), is_selecting("--state=s")
    (True, False)
    """
    is_short = not option.startswith("--")
    return (option[:2] if is_short else option.partition("=")[0]) in SELECTORS
