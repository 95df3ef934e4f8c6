"""`make doctor`: whether dbt Cloud is reached and lets the Dags run their jobs, in sentences.

It only asks, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence; `advice` says what to do where something is wrong.

    A note is neither well nor wrong. `short` stands for the sentence where all is well.
    """

    text: str
    advice: str = ""
    is_note: bool = False
    short: str = ""


class UnusableConnection(Finding):
    """Airflow finds a connection first that it cannot use."""
