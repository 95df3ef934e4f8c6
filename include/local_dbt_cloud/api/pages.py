"""Web pages: jobs and newest runs, a job, and a run with its failures, steps, nodes and files.

Pages need no token and are read-only. Airflow's operator link opens the run page; the comment above
a Dag's constants has the address of the job page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from ..runs.run_folder import RunFolder
from ..storage.runs import newest_run_ids
from ..storage.statuses import Status
from ..storage.tables import ACTIVE_STATE, JobRow, RunRow
from ..times import humanized, now
from .dependencies import PathId, base_url_of, server_of
from .errors import NotFoundError
from .handlers.accounts import list_accounts
from .payloads.jobs import job_payload
from .payloads.runs import RunView, run_payload
from .run_nodes import lineage_of, nodes_of_steps

# The library's page has the lineage too. Without its files, as in a copy of this folder alone,
# there is none.
PAGE = Path(__file__).parents[2] / "dbt_cloud" / "page"
FILES = ("lineage.js", "lineage.css", "vendor/dagre.min.js")
SCRIPTS = {file.name: file for file in map((PAGE / "static").joinpath, FILES) if file.exists()}
MAX_ROWS = 50  # jobs and runs on the home page, runs on a job page
INCLUDE = frozenset({"trigger", "job", "environment", "run_steps"})
IN_LIST = frozenset({"trigger", "job"})


def time_ago(moment: str) -> str:
    """Return ``3 minutes ago``, in the largest unit only."""
    passed = now() - datetime.fromisoformat(moment)
    if passed < timedelta(seconds=1):
        return "just now"
    return f"{humanized(passed).partition(',')[0]} ago"


def utc(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC"


def clock_in_words(clock: str) -> str:
    """Return ``42 seconds`` for ``00:00:42``."""
    hours, minutes, seconds = map(int, clock.split(":"))
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return humanized(length) if length else "under a second"


loaders = [PackageLoader(__package__), FileSystemLoader(PAGE / "templates")]
templates = Environment(loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True)
templates.filters |= {"time_ago": time_ago, "utc": utc, "clock_in_words": clock_in_words}


def home(request: Request) -> Response:
    """Show jobs and newest runs to a browser; return the accounts to a client with a token."""
    if "authorization" in request.headers:
        return list_accounts(request)
    jobs = select(JobRow).where(JobRow.state == ACTIVE_STATE).order_by(JobRow.id).limit(MAX_ROWS)
    with server_of(request).store.read() as session:
        runs = _newest_runs(request, session)
        rows = session.scalars(jobs).all()
        newest = _newest_of_each(request, session, rows)
        described = [_job(request, session, row) | {"newest": newest.get(row.id)} for row in rows]
    return _page("home.html", jobs=described, runs=runs)


def job_page(
    request: Request, account_id: PathId, project_id: PathId, job_id: PathId
) -> HTMLResponse:
    with server_of(request).store.read() as session:
        job = session.get(JobRow, job_id)
        if not job or (job.account_id, job.project_id) != (account_id, project_id):
            raise NotFoundError
        runs = _newest_runs(request, session, RunRow.job_id == job_id)
        return _page("job.html", job=_job(request, session, job), runs=runs)


def run_page(
    request: Request, account_id: PathId, project_id: PathId, run_id: PathId
) -> HTMLResponse:
    payload, folder = _run_and_folder(request, account_id, project_id, run_id)
    nodes = nodes_of_steps(folder, [step["index"] for step in payload["run_steps"]])
    for step in payload["run_steps"]:
        step["artifacts"] = folder.list_artifacts(step["index"])
        step["nodes"] = nodes.get(step["index"])
    page = server_of(request).settings.airflow_page
    timeline = page and f"{page}/jobs/{payload['job_definition_id']}/runs/{run_id}"
    content = {"run": payload, "nodes": nodes, "timeline": timeline}
    return _page("run.html", **content, has_lineage=nodes and SCRIPTS)


def lineage_page(
    request: Request, account_id: PathId, project_id: PathId, run_id: PathId
) -> HTMLResponse:
    payload, folder = _run_and_folder(request, account_id, project_id, run_id)
    if not SCRIPTS:
        raise NotFoundError
    nodes = lineage_of(folder, [step["index"] for step in payload["run_steps"]])
    return _page("lineage.html", run=payload, nodes=nodes)


def script(name: str) -> FileResponse:
    """Return a file of the lineage; the page in Airflow's UI has the same picture."""
    if name not in SCRIPTS:
        raise NotFoundError
    return FileResponse(SCRIPTS[name])


def artifact_page(
    request: Request,
    account_id: PathId,
    project_id: PathId,
    run_id: PathId,
    step: PathId,
    name: str,
) -> FileResponse:
    """Return a file that dbt wrote, as text: its scripts do not run."""
    _, folder = _run_and_folder(request, account_id, project_id, run_id)
    file = folder.artifact(step, name)
    if file is None:
        raise NotFoundError
    headers = {"X-Content-Type-Options": "nosniff"}
    return FileResponse(file, media_type="text/plain; charset=utf-8", headers=headers)


def missing_page(code: int) -> HTMLResponse:
    """Return the page for an unknown job or run."""
    return HTMLResponse(templates.get_template("missing.html").render(), code)


def _page(name: str, **content: Any) -> HTMLResponse:
    return HTMLResponse(templates.get_template(name).render(**content))


def _run_and_folder(
    request: Request, account_id: int, project_id: int, run_id: int
) -> tuple[dict[str, Any], RunFolder]:
    server = server_of(request)
    with server.store.read() as session:
        run = session.get(RunRow, run_id)
        if not run or (run.account_id, run.project_id) != (account_id, project_id):
            raise NotFoundError
        payload = _run(request, run, INCLUDE) | {"job_url": _job_url(request, run.job)}
    return payload, RunFolder(server.settings.runs / str(run_id))


def _run(request: Request, run: RunRow, include: frozenset[str] = IN_LIST) -> dict[str, Any]:
    folder = RunFolder(server_of(request).settings.runs / str(run.id))
    return run_payload(run, RunView(base_url_of(request), folder, include))


def _newest_runs(request: Request, session: Session, *conditions: Any) -> list[dict[str, Any]]:
    statement = select(RunRow).options(selectinload(RunRow.job)).where(*conditions)
    rows = session.scalars(statement.order_by(RunRow.id.desc()).limit(MAX_ROWS))
    return [_run(request, row) for row in rows]


def _newest_of_each(
    request: Request, session: Session, jobs: Iterable[JobRow]
) -> dict[int, dict[str, Any]]:
    """Return job id → its newest run."""
    newest = newest_run_ids(session, [job.id for job in jobs]).values()
    rows = session.scalars(select(RunRow).where(RunRow.id.in_(newest)))
    return {row.job_id: _run(request, row) for row in rows}


def _job(request: Request, session: Session, job: JobRow) -> dict[str, Any]:
    payload = job_payload(job, frozenset({"environment"}))
    return payload | {
        "href": _job_url(request, job),
        "commands": list(_commands(payload)),
        "starts": list(_starts(payload, session)) or ["only over the API, as Airflow does"],
    }


def _job_url(request: Request, job: JobRow) -> str:
    base_url = base_url_of(request)
    return f"{base_url}/deploy/{job.account_id}/projects/{job.project_id}/jobs/{job.id}/"


def _commands(job: dict[str, Any]) -> Iterator[str]:
    if job["run_generate_sources"]:
        yield "dbt source freshness"
    yield from job["execute_steps"]
    if job["generate_docs"]:
        yield "dbt docs generate"


def _starts(job: dict[str, Any], session: Session) -> Iterator[str]:
    """Yield what starts the job automatically."""
    if job["next_run"]:
        yield f"{job['cron_humanized']}, in UTC: next in {job['next_run_humanized']}"
    if trigger := job["job_completion_trigger_condition"]:
        condition = trigger["condition"]
        other = session.get(JobRow, condition["job_id"])
        name = other.name if other else f"job {condition['job_id']}"
        ends = " or ".join(Status(status).humanized for status in condition["statuses"])
        yield f"when {name} has ended with {ends}"
