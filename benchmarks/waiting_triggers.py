"""The event loop of a triggerer with many waiting triggers; ``waiting_runs`` starts it.

Prints a line of JSON after measuring CPU and memory, and one for each event.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import psutil
from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger
from airflow.triggers.shared_stream import SharedStreamManager

from include.dbt_cloud.run.trigger import DbtCloudRunTrigger
from tests.bundled import ACCOUNT_ID

POLL_INTERVAL = 5.0  # seconds
WARM_UP, MEASURED = 6.0, 15.0  # seconds
CONNECTION = "dbt_cloud_default"


def print_json(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def provider_events(run_id: int, _streams: SharedStreamManager) -> AsyncIterator[Any]:
    trigger = DbtCloudRunJobTrigger(
        conn_id=CONNECTION,
        run_id=run_id,
        end_time=time.time() + 3600,
        poll_interval=POLL_INTERVAL,
        account_id=ACCOUNT_ID,
    )
    return trigger.run()


def shared_events(run_id: int, streams: SharedStreamManager) -> AsyncIterator[Any]:
    trigger = DbtCloudRunTrigger(
        conn_id=CONNECTION,
        account_id=ACCOUNT_ID,
        run_id=run_id,
        poll_interval=POLL_INTERVAL,
        end_time=time.time() + 3600,
        execution_deadline=None,
        max_silence=3600,
    )
    key = trigger.shared_stream_key()
    stream = streams.subscribe(trigger_id=run_id, trigger=trigger, key=key)
    return trigger.filter_shared_stream(stream)


async def wait_for(run_id: int, start: float, events: Any, streams: SharedStreamManager) -> None:
    """Start at some time in the first interval, as tasks do; print when the trigger has fired."""
    await asyncio.sleep(start)
    async for _event in events(run_id, streams):
        print_json(run_id=run_id, at=time.time())


async def measure(events: Any, run_ids: range) -> None:
    streams = SharedStreamManager()
    waits = [
        asyncio.create_task(wait_for(run_id, POLL_INTERVAL * n / len(run_ids), events, streams))
        for n, run_id in enumerate(run_ids)
    ]
    await asyncio.sleep(POLL_INTERVAL + WARM_UP)
    before, began = cpu_seconds(), time.monotonic()
    await asyncio.sleep(MEASURED)
    share = (cpu_seconds() - before) / (time.monotonic() - began)
    print_json(cpu_share=share, memory=psutil.Process().memory_info().rss)
    await asyncio.gather(*waits)


def main() -> None:
    kind, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    events = {"ours": shared_events, "provider": provider_events}[kind]
    asyncio.run(measure(events, range(first, first + count)))


if __name__ == "__main__":
    main()
