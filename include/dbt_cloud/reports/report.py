"""Report on a dbt Cloud run: a table in the log, data, a page with a chart, and files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from jinja2 import Environment

from ..api.artifacts import Node
from ..api.client import DbtCloudClient
from ..run.failures import shortened
from .archive import archive
from .chart import as_chart
from .results import Results, read_results
from .run_times import RunTime, compare, earlier_results

TEMPLATE = Path(__file__).parent / "report.html"
log = logging.getLogger(__name__)


def report_run(
    run_id: int,
    reports: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> dict[str, Any]:
    """Report on a finished run and return the data.

    Write ``report.html``, ``run_times.png`` and, per step, artifacts and logs to
    ``REPORTS/HOST/ACCOUNT_ID/run-RUN_ID``; ``reports`` is an ObjectStoragePath.

    Raises:
        DbtCloudRefusedError: dbt Cloud has no such run.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    folder = client.account.folder_below(reports) / f"run-{run_id}"
    results = read_results(client, run_id)
    times = compare(results, earlier_results(client, results.run))
    log.info("\n%s", as_table(results, times))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(as_page(results, times))
    if times:
        (folder / "run_times.png").write_bytes(as_chart(times))
    files = archive(client, results.run, folder)
    log.info("Wrote %s/report.html and %d files of the run.", folder, len(files))
    return as_data(results, times)


def as_table(results: Results, times: list[RunTime]) -> str:
    """Return the report as text, for the task's log."""
    return "\n".join(lines_of(results, times))


def lines_of(results: Results, times: list[RunTime]) -> Iterator[str]:
    run = results.run
    counts = ", ".join(f"{count} {status}" for status, count in results.counts.items())
    yield f"dbt Cloud run {run['id']}, {run['status_humanized']}: {counts or 'no results'}"
    yield run["href"]
    for title, nodes in (("Failed", results.failed), ("Warned", results.warned)):
        if nodes:
            yield f"\n{title}"
            yield from (f"  {results.called(node)}: {why(node)}" for node in nodes)
    yield f"\n{'The slowest':<50} {'seconds':>8} {'median':>8} {'spread':>8} {'runs':>5}"
    by_name = {time.name: time for time in times}
    for node in results.slowest:
        time = by_name.get(results.names[node.unique_id]) if node.kind == "model" else None
        yield row(results.called(node), node.seconds, time)
    if slower := [time.name for time in times if time.is_slower]:
        yield f"\nSlower than usual: {', '.join(slower)}"


def why(node: Node) -> str:
    return shortened(node.message) or node.status


def row(name: str, seconds: float, time: RunTime | None) -> str:
    cells = f"  {name:<48} {seconds:8.2f}"
    if time is None or not time.history:
        return cells
    return f"{cells} {time.median:8.2f} {time.spread:8.2f} {len(time.history):5}"


def as_data(results: Results, times: list[RunTime]) -> dict[str, Any]:
    """Return the report as data, for XCom and for programs."""
    return {
        "run_id": results.run["id"],
        "status": results.run["status_humanized"],
        "counts": results.counts,
        "failed": [as_entry(node) for node in results.failed],
        "warned": [as_entry(node) for node in results.warned],
        "slowest": {node.unique_id: node.seconds for node in results.slowest},
        "models": {
            time.name: {
                "seconds": time.seconds,
                "median": time.median,
                "spread": time.spread,
                "runs": len(time.history),
                "is_slower": time.is_slower,
            }
            for time in times
        },
    }


def as_entry(node: Node) -> dict[str, Any]:
    return {"node": node.unique_id, "status": node.status, "message": node.message}


def as_page(results: Results, times: list[RunTime]) -> str:
    """Return the report as HTML, which shows ``run_times.png`` of the same folder."""
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text())
    return template.render(results=results, run=results.run, times=times)
