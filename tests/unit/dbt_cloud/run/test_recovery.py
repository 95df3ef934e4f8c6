from __future__ import annotations

import json
import subprocess

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.dbt_cloud.api.artifacts import command_of, nodes_in
from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.run.recovery import commands_after_failure, lost_nodes, selector
from tests.unit.dbt_cloud.models.recordings.recording import FOLDER, RECORDINGS, steps
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    COUNTRIES,
    NODES,
    UNIQUE_B,
    A,
    B,
    C,
    D,
    Node,
    ScriptedDbtCloud,
    build_only,
    serve,
)
from tests.unit.warm_dbt import PYTHON

ONE = "select 1 as id"
PROJECT = "name: {0}\nprofile: shop\nflags: {{send_anonymous_usage_stats: false}}\n"
SNAPSHOT = (
    "{% snapshot prices %}{{ config(unique_key='id', strategy='check', check_cols='all',"
    " schema=model.package_name) }}select 1 as id{% endsnapshot %}"
)
CUSTOMERS = """
models:
  - {name: customers, columns: [{name: id, data_tests: [not_null]}]}
unit_tests:
  - {name: adds_up, model: customers, given: [], expect: {rows: [{id: 1}]}}
"""
ORDERS = """
models:
  - {name: orders, latest_version: 2, versions: [{v: 1}, {v: 2}]}
unit_tests:
  - {name: adds_up, model: orders, given: [], expect: {rows: [{id: 1}]}}
  - {name: adds_up_too, model: orders, given: [], expect: {rows: [{id: 1}]}}
"""
FILES = {
    "profiles.yml": "shop: {target: t, outputs: {t: {type: duckdb, path: shop.duckdb}}}",
    "models/orders_v1.sql": ONE,
    "models/orders_v2.sql": ONE,
    "models/orders.yml": ORDERS,
    "models/shop.sql": ONE,
    "models/marts/other.sql": ONE,
    "models/customers/customers.sql": ONE,
    "models/customers/customers.yml": CUSTOMERS,
    "models/customers/customers_daily.sql": ONE,
    "models/customers/daily_customers.sql": ONE,
    "dbt_packages/other/models/deep/down/customers.sql": ONE,
    "dbt_packages/other/models/deep/down/customers.yml": CUSTOMERS,
    "dbt_packages/other/models/shop/plus+1.sql": ONE,
    "dbt_packages/other/models/größe.sql": ONE,
} | {
    f"{folder}/{file}": text
    for package, folder in (("shop", "."), ("other", "dbt_packages/other"))
    for file, text in {
        "dbt_project.yml": PROJECT.format(package)
        + "models: {other: {+schema: other}}\nseeds: {other: {+schema: other}}\n",
        "seeds/rates.csv": "id\n1\n",
        "snapshots/prices.sql": SNAPSHOT,
        "tests/no_orders.sql": "select 1 as id where false",
    }.items()
}
VERSIONED = {f"unit_test.shop.orders.adds_up{end}" for end in ("_v1", "_v2", "_too_v1", "_too_v2")}
# Reads a project once, then lists the selection of each line of input.
PROGRAM = """
import json, sys
from dbt.cli.main import dbtRunner

manifest = dbtRunner().invoke(["parse", "--quiet"]).result
print(json.dumps([*manifest.nodes, *manifest.unit_tests]), flush=True)
listing = ["ls", "--quiet", "--indirect-selection", "empty", "--output", "json"]
listing += ["--output-keys", "unique_id", "--select"]
for line in sys.stdin:
    found = dbtRunner(manifest=manifest).invoke([*listing, line.strip()])
    print(json.dumps([json.loads(one)["unique_id"] for one in found.result]), flush=True)
"""


@pytest.mark.parametrize(
    ("unique_id", "selected"),
    [
        ("model.shop.orders", "package:shop,fqn:*.orders"),
        ("model.shop.orders.v2", "package:shop,fqn:*.orders.v2"),
        ("test.shop.not_null_orders_id.cf6c17daed", "package:shop,fqn:*.not_null_orders_id"),
        ("test.shop.orders_add_up", "package:shop,fqn:*.orders_add_up"),
        ("test.shop.id > 0, or 1.5.cf6c17daed", "package:shop,fqn:*.id???0??or?1.5"),
        ("snapshot.shop.prices", "package:shop,fqn:*.prices"),
        ("unit_test.shop.orders.adds", "package:shop,resource_type:unit_test,fqn:*.orders.adds"),
        (
            "unit_test.shop.orders.adds_v2",  # of dbt Core
            "package:shop,resource_type:unit_test,fqn:*.orders.adds*",
        ),
        (
            "unit_test.shop.orders.adds.v2",  # of dbt 2
            "package:shop,resource_type:unit_test,fqn:*.orders.adds*",
        ),
        ("unit_test.shop.orders.vat", "package:shop,resource_type:unit_test,fqn:*.orders.vat"),
    ],
)
def test_selector_names_package_and_node(unique_id: str, selected: str) -> None:
    assert selector(unique_id) == selected


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("Invoke dbt with `dbt build --select a`", "dbt build --select a"),
        ("Invoke Dbt With `dbt run`", "dbt run"),
        ("Clone git repository", None),
    ],
)
def test_command_of_reads_the_command_from_the_step_name(name: str, command: str | None) -> None:
    assert command_of({"name": name}) == command


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return unique id → dbt's own selection of the node's selector."""
    if not PYTHON.exists():
        pytest.skip("needs dbt_venv, which `make` creates")
    folder = tmp_path_factory.mktemp("packages")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    command = [str(PYTHON), "-c", PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, text=True) as dbt:
        assert dbt.stdin
        assert dbt.stdout
        lines = (json.loads(line) for line in dbt.stdout if line.startswith("["))
        nodes = next(lines)
        dbt.stdin.write("".join(f"{selector(node)}\n" for node in nodes))
        dbt.stdin.close()
        return {node: set(found) for node, found in zip(nodes, lines, strict=True)}


def test_selector_selects_one_node_whatever_shares_its_name(selected: dict[str, set[str]]) -> None:
    unversioned = {node: found for node, found in selected.items() if node not in VERSIONED}

    assert len(unversioned) == 20
    assert {node: found for node, found in unversioned.items() if found != {node}} == {}


def test_selector_of_a_versioned_unit_test_selects_all_versions_and_no_model(
    selected: dict[str, set[str]],
) -> None:
    for node in VERSIONED:
        assert {node} < selected[node] <= VERSIONED


LOSES = {"2.0/parts/failing_batch": ["model.parts.by_day"]}
LOSES["2.0/parts/failing_first_batch"] = LOSES["2.0/parts/failing_batch"]


@pytest.mark.parametrize("recording", RECORDINGS)
def test_lost_nodes_finds_only_nodes_that_have_no_result(recording: str) -> None:
    manifest = json.loads((FOLDER / recording).with_name("nodes.json").read_text())
    for step in steps(recording):
        results = nodes_in(step["run_results"], step["index"])
        command, log = command_of(step) or "", "\n".join(step["logs"])

        assert lost_nodes(command, log, results, manifest) == LOSES.get(recording, [])


def commands_left(
    monkeypatch: pytest.MonkeyPatch,
    fails: dict[str, str],
    lost: set[str],
    *steps: str,
    grammar: str = "fusion",
    nodes: list[Node] = NODES,
) -> list[str] | None:
    """Return the commands left of a run whose ``lost`` nodes have no result."""
    dbt_cloud = ScriptedDbtCloud(nodes, *steps, grammar=grammar)
    dbt_cloud.choose = lambda node, run: fails.get(
        node.unique_id, "pass" if node.is_test else "success"
    )
    dbt_cloud.lost = lost
    run = dbt_cloud.start()
    dbt_cloud.finish()
    serve(monkeypatch, lambda: dbt_cloud)
    client = DbtCloudClient(DbtCloudHook(), None)
    details = client.get(f"runs/{run.id}/", include_related="run_steps,job,trigger")
    return commands_after_failure(client, details)


BOTH = {COUNTRIES: "error", B: "error"}


@pytest.mark.parametrize("grammar", ["core", "fusion"])
@pytest.mark.parametrize(
    ("fails", "lost", "rebuilt"),
    [
        (BOTH, set(), [COUNTRIES, B, UNIQUE_B, C]),
        (BOTH, {B}, [COUNTRIES, UNIQUE_B, C, B]),
        ({B: "error"}, {B}, [UNIQUE_B, C, B]),
        ({D: "error"}, {D}, [D]),  # and nothing else
        ({COUNTRIES: "error", UNIQUE_B: "fail"}, {UNIQUE_B}, [COUNTRIES, C, UNIQUE_B]),
    ],
)
def test_commands_after_failure_rebuild_a_failed_node_without_a_result(
    monkeypatch: pytest.MonkeyPatch,
    fails: dict[str, str],
    lost: set[str],
    rebuilt: list[str],
    grammar: str,
) -> None:
    commands = commands_left(monkeypatch, fails, lost, "dbt build", "dbt test", grammar=grammar)

    assert commands == [build_only(*rebuilt), "dbt test"]


def test_commands_after_failure_rebuild_a_node_that_never_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails = {COUNTRIES: "error", D: "started"}

    commands = commands_left(monkeypatch, fails, {D}, "dbt build", grammar="core")

    assert commands == [build_only(COUNTRIES, D)]


def test_lost_node_with_children_repeats_the_whole_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The selection is unknown: a node without a result may have been selected or not."""
    command = "dbt build --select a b d"
    fails = {A: "error", D: "error"}
    two = [*NODES, Node("model.shop.e", (D,))]

    assert commands_left(monkeypatch, fails, {D}, command, "dbt test", nodes=two) == [
        command,
        "dbt test",
    ]
    assert commands_left(monkeypatch, fails, set(), command, nodes=two) == [
        build_only(A, B, UNIQUE_B, D)
    ]


def test_lost_node_with_a_shared_name_repeats_the_whole_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin = [*NODES, Node("model.erp.d")]
    fails = {A: "error", D: "error"}

    commands = commands_left(monkeypatch, fails, {D, "model.erp.d"}, "dbt build", nodes=twin)

    assert commands == ["dbt build"]


def test_lost_node_missing_from_the_manifest_repeats_the_whole_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ScriptedDbtCloud, "_manifest", lambda self: {"nodes": {}})

    commands = commands_left(monkeypatch, BOTH, {B}, "dbt build")

    assert commands == ["dbt build"]


def test_commands_after_failure_are_none_for_a_step_without_own_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """dbt Cloud then returns those of the step before."""
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt run --select a", "dbt build")
    run = dbt_cloud.start()
    while dbt_cloud.advance() and run.command != "dbt build":
        pass
    for _ in range(3):
        dbt_cloud.advance()
    run.end(20)
    serve(monkeypatch, lambda: dbt_cloud)
    client = DbtCloudClient(DbtCloudHook(), None)
    details = client.get(f"runs/{run.id}/", include_related="run_steps,job,trigger")

    assert "START" in details["run_steps"][-1]["logs"]
    assert commands_after_failure(client, details) is None
