"""Record what three engines of dbt log and leave: ``python -m tests.….recordings 1.12=PATH …``.

Each argument is a further engine, as ``--dbt-python`` of the local dbt Cloud takes it; the default
one is always recorded. Every recording is a run of the local dbt Cloud, reduced to what the tests
read, without times, paths and ids that differ from run to run. dbt runs nodes in threads, so lines
may change their order.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from include.local_dbt_cloud.command_line import dbt_python
from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD

FOLDER = Path(__file__).parent
DAYS = "--event-time-start 2026-01-01 --event-time-end 2026-01-04"
BUILD = f"dbt build {DAYS}"
# Name of the recording → the commands of the run.
PARTS = {
    "all_green": [BUILD],
    "failing_model": [f"{BUILD} --vars '{{fails: first}}'"],
    "failing_test": [f"{BUILD} --select second+ --vars '{{test_finds: 1}}'"],
    "failing_unit_test": [f"{BUILD} --select second+ --vars '{{unit: 2}}'"],
    "failing_batch": [f"{BUILD} --select days+ --vars '{{batch_fails: 2026-01-02}}'"],
    "failing_first_batch": [f"{BUILD} --select days+ --vars '{{batch_fails: 2026-01-01}}'"],
    "warning_test": [f"{BUILD} --select third --vars '{{warns_of: 1}}'"],
    "warn_error": [f"dbt --warn-error {BUILD[4:]} --select third --vars '{{warns_of: 1}}'"],
    "fail_fast": [f"{BUILD} --fail-fast --threads 1 --vars '{{fails: second}}'"],
    "seeds_and_snapshots": ["dbt seed", "dbt snapshot"],
    "tests": ["dbt test --select versioned third"],
    "fresh_source": ["dbt source freshness --select source:analytics.colours", "dbt seed"],
    "stale_source": ["dbt build --select second", "dbt source freshness"],
    "built_twice": [
        "dbt build --select second",
        "dbt build --select second --vars '{fails: second}'",
    ],
    "elsewhere_and_versions": ["dbt run --select elsewhere versioned"],
    "skipped_version": ["dbt run --select second versioned --vars '{fails: second}'"],
    "failing_twin": ["dbt run --select third twin --vars '{fails: twin}'"],
    "colours": ["dbt --use-colors build --select second+ --vars '{fails: second}'"],
    "colours_of_tests": ["dbt --use-colors build --select third --vars '{warns_of: 1}'"],
    "unknown_option": ["dbt build --nonsense"],
}
SCENARIOS = {
    "parts": PARTS,
    "jaffle_shop": {"all_green": ["dbt build --exclude-resource-type unit_test"]},
}
CHANGING = (
    (r"\d\d:\d\d:\d\d(\.\d+)?", "10:00:00"),
    (r"\b\d+(\.\d+)?( seconds|[mu]?s\b)", r"0.10\2"),
    (r"\d+ hours \d+ minutes", "0 hours 0 minutes"),
    (r"(/\S*)?\bruns/\d+/", "runs/1/"),
    (r"(?m)^ +\d+: .*\n( +at .*\n)?", ""),  # a backtrace of dbt 2.0
    (r"(?m)^.*dbt v2 is available.*\n( .*\n)*", ""),
)
NODE = (
    *("unique_id", "resource_type", "name", "version", "database", "schema", "alias", "fqn"),
    *("tags", "model"),
)
RESULT = ("unique_id", "status", "failures")


def main(arguments: list[str]) -> None:
    engines = ["", *(dbt_python(text)[0] for text in arguments)]
    options = [word for text in arguments for word in ("--dbt-python", text)]
    record("parts", ["--dbt-project", str(FOLDER / "project"), *options], engines)
    record("jaffle_shop", options, engines)


def record(project: str, options: list[str], engines: list[str]) -> None:
    """Write the recordings of one dbt project, for each engine."""
    with tempfile.TemporaryDirectory() as data:
        ensure_certificates(Path(data), [])
        with LocalDbtCloud(Path(data), tuple(options)) as server:
            for engine in engines:
                for name, commands in SCENARIOS[project].items():
                    run = finished_run(server, engine, commands)
                    number = ".".join(run["dbt_version"].split(".")[:2])
                    folder = FOLDER / number / project
                    write(folder / f"{name}.json", kept_run(server, run, commands))
                    if name == "all_green":
                        write(folder / "nodes.json", kept_nodes(server, run))


def finished_run(server: LocalDbtCloud, engine: str, commands: list[str]) -> dict[str, Any]:
    run_id = server.trigger(
        DAILY_BUILD,
        steps_override=commands,
        generate_docs_override=False,
        dbt_version_override=engine or None,
    )
    return server.wait(run_id)


def kept_run(server: LocalDbtCloud, run: dict[str, Any], commands: list[str]) -> dict[str, Any]:
    """Return what progress_of reads of a run, with the results of each of its steps."""
    steps = run["run_steps"][3:]  # after clone, profile and deps
    invocations: dict[str, str] = {}
    return {
        "dbt_version": run["dbt_version"],
        "status": run["status"],
        "execute_steps": commands,
        "run_steps": [kept_step(server, run["id"], step, invocations) for step in steps],
    }


def kept_step(
    server: LocalDbtCloud, run_id: int, step: dict[str, Any], invocations: dict[str, str]
) -> dict[str, Any]:
    """Return a step with its results, which may be those of an earlier step: see the id."""
    results = artifact(server, run_id, "run_results.json", step["index"])
    return {
        "index": step["index"],
        "name": step["name"],
        "status": step["status"],
        "logs": unchanging(step["logs"]).splitlines(),
        "run_results": kept_results(results, invocations) if results else None,
    }


def kept_results(results: dict[str, Any], invocations: dict[str, str]) -> dict[str, Any]:
    invocation = results["metadata"]["invocation_id"]
    return {
        "metadata": {
            "invocation_id": invocations.setdefault(invocation, f"number {len(invocations) + 1}")
        },
        "args": {"which": results["args"]["which"]},
        "results": sorted(map(kept_result, results["results"]), key=lambda one: one["unique_id"]),
    }


def kept_result(result: dict[str, Any]) -> dict[str, Any]:
    kept = {key: result[key] for key in RESULT if result.get(key) is not None}
    return kept | {"message": unchanging(result.get("message") or "").partition("\n")[0]}


def kept_nodes(server: LocalDbtCloud, run: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest's nodes and unit tests with what the lineage reads of them."""
    manifest = artifact(server, run["id"], "manifest.json")
    return {
        kind: {key: kept_node(node) for key, node in sorted(manifest[kind].items())}
        for kind in ("nodes", "unit_tests")
    }


def kept_node(node: dict[str, Any]) -> dict[str, Any]:
    kept = {key: node[key] for key in NODE if node.get(key)}
    materialized = (node.get("config") or {}).get("materialized")
    return kept | {
        "depends_on": {"nodes": node["depends_on"].get("nodes", [])},
        "config": {"materialized": materialized},
    }


def artifact(server: LocalDbtCloud, run_id: int, name: str, step: int | None = None) -> Any:
    """Return the file's content; None if the run or step has left none."""
    answer = server.request("GET", f"runs/{run_id}/artifacts/{name}", params={"step": step})
    return answer.json() if answer.is_success else None


def unchanging(text: str) -> str:
    for pattern, replacement in CHANGING:
        text = re.sub(pattern, replacement, text)
    return text


def write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1)
    text = re.sub(r"\{[^{}\[\]]*\}", lambda found: " ".join(found[0].split()), text)
    file.write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
