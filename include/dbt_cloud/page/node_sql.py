"""The SQL of a node of a stored run, which dbt Cloud has in the run's artifacts."""

from __future__ import annotations

from dataclasses import dataclass

from ..airflow.compat import AirflowException
from ..api.artifacts import read_artifact
from ..api.loose_json import record, records, text
from ..reports.history import History
from .accounts import ShownAccount


@dataclass(frozen=True)
class NodeSql:
    """The compiled SQL of a node; without it, ``problem`` says why."""

    job_id: int
    run_id: int
    name: str
    sql: str = ""
    problem: str = ""


def node_sql_of(
    job_id: int, run_id: int, unique_id: str, shown: ShownAccount, history: History
) -> NodeSql | None:
    """Return the SQL of the node's last result in a run; None if no such result is stored."""
    kept = history.timeline(job_id, run_id)
    outcomes = kept[0].outcomes if kept else []
    node = next((one for one in outcomes if one.unique_id == unique_id), None)
    if not kept or not node:
        return None
    sql, problem = "", ""
    try:
        sql = compiled_sql(shown, run_id, node.step, unique_id)
    except (AirflowException, ValueError) as error:
        problem = f"Could not read the SQL from dbt Cloud: {error}"
    if not sql and not problem:
        problem = (
            "dbt Cloud has no SQL of this node: dbt compiled none, as for a seed or after an error "
            "in Jinja, or the run's artifacts are deleted."
        )
    return NodeSql(job_id, run_id, kept[0].called(node), sql, problem)


def compiled_sql(shown: ShownAccount, run_id: int, step: int, unique_id: str) -> str:
    artifact = read_artifact(shown.client(), run_id, "run_results.json", step)
    results = records(record(artifact).get("results"))
    found = next((one for one in results if one.get("unique_id") == unique_id), {})
    return text(found.get("compiled_code")).strip("\n")
