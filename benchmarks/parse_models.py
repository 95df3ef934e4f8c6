"""The time to build a task group of a lineage file, as in the Dag processor."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pendulum
from airflow.sdk import DAG

from benchmarks.figures import Figure
from include.dbt_cloud.models import dbt_cloud_models
from include.dbt_cloud.models.lineage import read_lineage

SIZES = (240, 2000)
LEVELS = 8  # of models that build on each other


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            file = Path(folder) / f"{size}.json"
            file.write_text(json.dumps({"version": 1, "nodes": lineage(size)}))
            make_group(file)  # warm
            first = [cpu_milliseconds(file, is_cached=False) for _ in range(rounds)]
            second = [cpu_milliseconds(file, is_cached=True) for _ in range(rounds)]
            yield Figure(f"{size} nodes", first, "ms")
            yield Figure(f"{size} nodes, a second group on the file", second, "ms")


def lineage(size: int) -> list[dict[str, object]]:
    """Return a lineage in which each model builds on two of the level before it."""
    width = size // LEVELS
    return [
        {
            "unique_id": f"model.shop.m{number}",
            "name": f"m{number}",
            "type": "model",
            "parents": parents(number, width),
            "folder": f"level_{number // width}",
            "relation": f"db.analytics.m{number}",
        }
        for number in range(size)
    ]


def parents(number: int, width: int) -> list[str]:
    if number < width:
        return []
    before = number // width * width - width
    return [f"model.shop.m{before + (number + step) % width}" for step in (0, 7)]


def cpu_milliseconds(file: Path, is_cached: bool) -> float:
    if not is_cached:
        file.touch()  # so that it is read again
    began = time.process_time()
    make_group(file)
    return (time.process_time() - began) * 1000


def make_group(file: Path) -> None:
    with DAG("shop", schedule=None, start_date=pendulum.datetime(2026, 4, 1)):
        dbt_cloud_models("shop", job_id=1, lineage=file)
    assert read_lineage(file).nodes
