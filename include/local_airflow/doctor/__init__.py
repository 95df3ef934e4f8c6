"""``make doctor``: check that dbt Cloud is reachable and that the Dags may run their jobs.

The checks are read-only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of one check; ``advice`` is the fix of a problem, and empty if there is none.

    A note is neither a success nor a problem. ``short`` is the text for the one-line summary.
    """

    text: str
    advice: str = ""
    is_note: bool = False
    short: str = ""


class UnusableConnection(Finding):
    """The first connection that Airflow finds is unusable."""
