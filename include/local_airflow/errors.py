"""The one exception that the launcher shows to the user."""

from __future__ import annotations


class LaunchError(Exception):
    """What is wrong and what to do about it, in one or two sentences; shown without a traceback."""
