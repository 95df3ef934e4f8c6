"""Tests of task groups from any names of folders and nodes."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pendulum
import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
from airflow.sdk import DAG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.dbt_cloud.models import dbt_cloud_models
from include.dbt_cloud.models.operators import DbtCloudNodeOperator

NUMBERS = itertools.count()
NAMES = [
    *("a", "a.b", "a_b", "a b", "a-b", "A", "ä", "größe", "名前", "\U0001d400", "cafe\u0301", "📈"),
    *("run_job", "rest_of_run", "upstream_join_id", "downstream_join_id", "shop", "model_shop_a"),
    *("", ".", "..", "...", "_", " ", "a\n", "long" * 80, "long" * 80 + ".", "x" * 119, "x" * 121),
]
WORDS = st.sampled_from(NAMES) | st.text(max_size=3).filter(lambda word: word.isprintable())
FOLDERS = st.lists(WORDS, max_size=6).map("/".join)


def node(unique_id: str, name: str, folder: str = "", **more: Any) -> dict[str, Any]:
    return {
        "unique_id": unique_id,
        "name": name,
        "type": unique_id.partition(".")[0],
        "folder": folder,
        "parents": [],
        **more,
    }


def names_in(
    folder: Path, nodes: list[dict[str, Any]], group_id: str = "g", **arguments: Any
) -> dict[str, str]:
    """Return unique id → task id of a task group from such a file."""
    file = folder / f"{next(NUMBERS)}.json"
    file.write_text(json.dumps({"version": 1, "nodes": nodes}))
    with DAG("shop", schedule=None, start_date=pendulum.datetime(2026, 4, 1)) as dag:
        dbt_cloud_models(group_id, job_id=1, lineage=file, **arguments)
    dag.check_cycle()
    tasks = [task for task in dag.tasks if isinstance(task, DbtCloudNodeOperator)]
    return {task.unique_id: task.task_id for task in tasks}


@given(
    nodes=st.lists(
        st.builds(
            node,
            st.builds("{}.{}.{}".format, st.sampled_from(["model", "test"]), WORDS, WORDS),
            WORDS,
            FOLDERS,
        ),
        max_size=6,
        unique_by=lambda one: one["unique_id"],
    ),
    group_id=st.sampled_from(["g", "g" * 150, "g" * 200]),
)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_task_ids_of_any_nodes_are_unique_stable_and_short(
    tmp_path: Path, nodes: list[dict[str, Any]], group_id: str
) -> None:
    names = names_in(tmp_path, nodes, group_id, tests_as_tasks=True)

    assert names.keys() == {one["unique_id"] for one in nodes}
    assert len(set(names.values())) == len(names)
    assert max(map(len, names.values()), default=0) <= 250
    random.shuffle(nodes)
    assert names_in(tmp_path, nodes, group_id, tests_as_tasks=True) == names


def test_only_colliding_or_reserved_task_names_are_changed(tmp_path: Path) -> None:
    names = names_in(
        tmp_path,
        [
            node("model.shop.orders", "orders", "marts"),
            node("model.shop.a.b", "a.b", "marts"),
            node("model.shop.a_b", "a_b", "marts"),
            node("model.shop.run_job", "run_job"),
            node("model.shop.one", "one", "run_job"),
            node("model.shop.two", "two", "x.y"),
            node("model.shop.three", "three", "x_y"),
            node("model.shop.four", "four", "marts/run_job"),
            node("model.shop.marts", "marts"),
            node("model.shop.upstream_join_id", "upstream_join_id", "marts"),
            node("model.shop.", ""),
            node("model.shop...", ".."),
        ],
    )

    assert {key.removeprefix("model.shop."): name for key, name in names.items()} == {
        "orders": "g.marts.orders",
        "a.b": "g.marts.model_shop_a_b_d963b8d3",
        "a_b": "g.marts.model_shop_a_b_e16907be",
        "run_job": "g.model_shop_run_job",
        "one": "g.run_job_3fc82f02.one",
        "two": "g.x_y_b24ca9b7.two",
        "three": "g.x_y_f9068e81.three",
        "four": "g.marts.run_job.four",
        "marts": "g.model_shop_marts",
        "upstream_join_id": "g.marts.model_shop_upstream_join_id",
        "": "g.model_shop_",
        "..": "g.__",
    }


def test_folders_too_long_for_a_task_id_become_one_group(tmp_path: Path) -> None:
    deep = "/".join(["a folder with a long name"] * 12)
    names = names_in(
        tmp_path,
        [
            node("model.shop.a", "a", deep),
            node("model.shop.b", "b" * 120, deep),
            node("model.shop.c", "c" * 300, "marts"),
            node("model.shop.d", "d", "a folder with a long name"),
        ],
    )

    (group,) = {names[f"model.shop.{name}"].split(".")[1] for name in "ab"}
    assert group.startswith("a_folder_with_a_long_name_a_folder")
    assert len(group) == 120
    assert names["model.shop.a"] == f"g.{group}.a"
    assert names["model.shop.b"] == f"g.{group}.{'b' * 120}"
    assert names["model.shop.c"].startswith(f"g.marts.{'c' * 111}_")
    assert names["model.shop.d"] == "g.a_folder_with_a_long_name.d"
