"""An active run with the log of its steps, cached for a few seconds for all viewers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Condition
from typing import Any

from cachetools import TTLCache, cached

from ..airflow.compat import AirflowException
from ..reports.live_nodes import LiveNode, live_nodes
from ..reports.results import Results
from ..reports.timeline import Timeline, stored_timeline
from .accounts import ShownAccount
from .newest_runs import SECONDS

MOST = 100  # runs that are viewed at the same time
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveRun:
    """What an active run has done so far; with a ``problem`` it is not known."""

    nodes: list[LiveNode] = field(default_factory=list)
    timeline: Timeline | None = None  # with the steps only
    problem: str = ""

    @classmethod
    def of(cls, run: dict[str, Any]) -> LiveRun:
        """Return a run that includes its steps."""
        steps = Timeline.read(stored_timeline(Results(run, []), None), [])
        return cls(live_nodes(run, datetime.now(UTC)), steps)

    @property
    def busy(self) -> int:
        return sum(one.is_busy for one in self.nodes)


def _key(shown: ShownAccount, run_id: int) -> tuple[Any, ...]:
    return shown.conn_id, shown.account, run_id


@cached(TTLCache(MOST, SECONDS), key=_key, condition=Condition())
def read_live_run(shown: ShownAccount, run_id: int) -> LiveRun:
    """Return the run as dbt Cloud has it now."""
    try:
        run = shown.client().get(f"runs/{run_id}/", include_related="run_steps")
        return LiveRun.of(run)
    except (AirflowException, ValueError) as error:
        log.warning("Could not read run %s by connection %s: %s", run_id, shown.conn_id, error)
        return LiveRun(problem=f"{error}".strip() or type(error).__name__)
