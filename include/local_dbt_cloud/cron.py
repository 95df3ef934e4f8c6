"""What a cron expression amounts to: the next moment, in UTC, and words for people."""

from __future__ import annotations

from datetime import datetime


def next_time(cron: str, after: datetime) -> datetime | None:
    """The first moment later than ``after``; None for one that never comes, like 30 February."""
    from croniter import CroniterBadDateError, croniter  # only jobs with a schedule need it

    try:
        moment: datetime = croniter(cron, after).get_next(datetime)
    except CroniterBadDateError:
        return None
    return moment


def in_words(cron: str) -> str:
    """``Every hour``; the expression itself if there are no words for it, as for ``@daily``."""
    # It has no types. Imported here, since only lists of jobs need it.
    from cron_descriptor import FormatException, get_description  # type: ignore[import-untyped]

    try:
        return str(get_description(cron))
    except FormatException:
        return cron
