"""Generate a dbt project with a given number of models and a given run time of each.

Each model is a view of one row, or a table that takes some seconds. It refers to its parents
without reading them, so that many dbt processes can build models at once, each in its own DuckDB in
memory: with one file the processes would wait for each other, which the benchmark must not measure.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAME = "jaffle_shop"  # the name that the Dags use for the project
# Levels of models that build on each other, and their share: many sources, few marts.
LEVELS = {"staging": 0.4, "base": 0.2, "intermediate": 0.2, "marts": 0.12, "reports": 0.08}
PARENTS = 3  # at most
SEED = 14


@dataclass(frozen=True)
class Model:
    name: str
    level: str
    parents: tuple[str, ...]
    seconds: int

    @property
    def path(self) -> str:
        return f"models/{self.level}/{self.name}.sql"

    @property
    def sql(self) -> str:
        edges = "".join(f"-- depends_on: {{{{ ref('{parent}') }}}}\n" for parent in self.parents)
        if not self.seconds:
            return f"{edges}select 1 as id\n"
        table = "{{ config(materialized='table') }}\n"
        return f"{table}{edges}select sleep_ms({1000 * self.seconds}) as id\n"


def models(size: int, seconds: int = 0) -> Iterator[Model]:
    """Yield the same models each time; each level builds on earlier ones, mostly on the last."""
    choose = random.Random(SEED)
    levels: list[list[str]] = []
    ends = [sum([*LEVELS.values()][: number + 1]) for number in range(len(LEVELS))]
    for number in range(size):
        place = next(level for level, end in enumerate(ends) if number < end * size - 1e-6)
        while len(levels) <= place:
            levels.append([])
        parents = {choose.choice(levels[-2]) for _ in range(choose.randint(1, PARENTS)) if place}
        if place > 1 and choose.random() < 0.3:
            parents.add(choose.choice(levels[choose.randrange(place - 1)]))
        levels[-1].append(f"model_{number}")
        yield Model(f"model_{number}", [*LEVELS][place], tuple(sorted(parents)), seconds)


def write_project(folder: Path, lineage: Path, size: int, seconds: int) -> None:
    """Replace the models in ``folder``, and write the files that Cosmos and our library parse."""
    for name in ("models", "tests"):
        shutil.rmtree(folder / name, ignore_errors=True)
    profiles = folder / "profiles.yml"
    in_file = "\"{{ env_var('WAREHOUSE_PATH', '../.local/warehouse.duckdb') }}\""
    text = profiles.read_text()
    assert in_file in text
    profiles.write_text(text.replace(in_file, '":memory:"'))
    made = list(models(size, seconds))
    for model in made:
        file = folder / model.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(model.sql)
    (folder / "nodes.jsonl").write_text("".join(f"{json.dumps(listed(one))}\n" for one in made))
    lineage.write_text(json.dumps({"version": 1, "nodes": [kept(one) for one in made]}))


def unique_id(name: str) -> str:
    return f"model.{NAME}.{name}"


def listed(model: Model) -> dict[str, object]:
    """Return the node in the format of ``dbt ls``."""
    return {
        "unique_id": unique_id(model.name),
        "resource_type": "model",
        "depends_on": {"macros": [], "nodes": [unique_id(one) for one in model.parents]},
        "original_file_path": model.path,
        "tags": [],
    }


def kept(model: Model) -> dict[str, object]:
    """Return the node in the format of the lineage file."""
    return {
        "unique_id": unique_id(model.name),
        "name": model.name,
        "type": "model",
        "parents": [unique_id(one) for one in model.parents],
        "folder": model.level,
        "relation": f"warehouse.analytics.{model.name}",
    }
