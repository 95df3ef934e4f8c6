"""Timestamps and durations in dbt Cloud's formats (CONTRACT.md, section 2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

UNITS = (("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def now() -> datetime:
    return datetime.now(UTC)


def spaced(moment: datetime | None) -> str | None:
    """Return ``2024-05-27 10:42:16.179903+00:00``, for runs, projects and v3 environments."""
    return moment.isoformat(" ", "microseconds") if moment else None


def iso(moment: datetime | None) -> str | None:
    """Return ``2024-05-27T10:42:16.179903+00:00``, for jobs, accounts and v2 environments."""
    return moment.isoformat("T", "microseconds") if moment else None


def zulu(moment: datetime | None) -> str | None:
    """Return ``2024-05-27T10:42:16.179903Z``, for the job inside a run."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def clock(length: timedelta) -> str:
    """Return ``HH:MM:SS``; the hours may exceed 23."""
    minutes, seconds = divmod(max(0, int(length.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def humanized(length: timedelta) -> str:
    """Return the two largest units, ``56 minutes, 48 seconds``; zero is ``0 minutes``."""
    return _words(max(0, int(length.total_seconds())))


@lru_cache(maxsize=4096)  # a list of 100 runs needs 500, mostly of the same few seconds
def _words(seconds: int) -> str:
    rest, parts = seconds, []
    for name, size in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
        elif parts:
            break  # "1 day", not "1 day, 36 seconds"
    return ", ".join(parts[:2]) or "0 minutes"


def ago(moment: datetime) -> str:
    return f"{humanized(now() - moment)} ago"
