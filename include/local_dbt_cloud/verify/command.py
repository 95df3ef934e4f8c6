"""The command: options, progress, and exit code 0 (equal), 1 (differences) or 2 (did not run)."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ..api.kinds import V2
from ..serving.connections import DBT_CLOUD
from .calls import Answer, DbtCloud, VerifyError
from .copies import copy_resources
from .endpoints import Endpoint, endpoints, find_ids, find_resources, ids_of
from .local_server import running_local_dbt_cloud
from .report import Result, in_json, in_markdown
from .shapes import Difference, differences, shape_of

EQUAL, DIFFERENT, FAILED = 0, 1, 2
CAUSE = "Compared with the local dbt Cloud"
RUN_SECONDS, POLL_SECONDS = 3600.0, 5.0


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Compare the answers of your dbt Cloud account with those of the local dbt "
        "Cloud. Only reads, unless --run-job is given. The token is DBT_CLOUD_TOKEN."
    )
    variable = os.environ.get
    parser.add_argument("--host", default=variable("DBT_CLOUD_HOST"), help="your access URL")
    parser.add_argument("--account-id", type=int, default=variable("DBT_CLOUD_ACCOUNT_ID"))
    parser.add_argument("--run-job", type=int, metavar="ID", help="run this job once as well")
    parser.add_argument("--local", metavar="URL", help="a local dbt Cloud that runs already")
    parser.add_argument("--local-account-id", type=int, default=DBT_CLOUD.login, help="of --local")
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("verify-report.md"),
        help="a file, in JSON if its name ends in .json; default: %(default)s",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Compare, write the report and return the exit code; print to stderr what stopped it."""
    options = command_line().parse_args(arguments)
    try:
        with ExitStack() as stack:
            theirs = stack.enter_context(closing(their_dbt_cloud(options)))
            theirs.check()
            ours = our_dbt_cloud(options, stack)
            results = list(compare(theirs, ours, options.run_job, copies=not options.local))
        write = in_json if options.report.suffix == ".json" else in_markdown
        options.report.write_text(write(results))
    except (VerifyError, OSError, RuntimeError) as error:
        print(f"Could not compare. {error}", file=sys.stderr)
        return FAILED
    count = sum(len(result.differences) for result in results)
    print(f"{count} differences; the report without values is {options.report}.")
    return DIFFERENT if count else EQUAL


def their_dbt_cloud(options: argparse.Namespace) -> DbtCloud:
    """Return the account to read; raise VerifyError if an option is missing."""
    token = os.environ.get("DBT_CLOUD_TOKEN")
    needed = {
        "--host or DBT_CLOUD_HOST": options.host,
        "DBT_CLOUD_TOKEN": token,
        "--account-id or DBT_CLOUD_ACCOUNT_ID": options.account_id,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing or not token:
        raise VerifyError(f"Set {', '.join(missing)}.")
    host = options.host.removeprefix("https://").rstrip("/")
    return DbtCloud(f"https://{host}", token, options.account_id)


def our_dbt_cloud(options: argparse.Namespace, stack: ExitStack) -> DbtCloud:
    """Return the local dbt Cloud of ``--local``, or a new one that has a run of each kind."""
    if options.local:
        token = os.environ.get("LOCAL_DBT_CLOUD_TOKEN") or DBT_CLOUD.password
        ours = stack.enter_context(
            closing(DbtCloud(options.local, token, options.local_account_id))
        )
        ours.check()
        return ours
    progress("Start a local dbt Cloud and run its job")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return stack.enter_context(running_local_dbt_cloud(folder))


def compare(theirs: DbtCloud, ours: DbtCloud, job_id: int | None, copies: bool) -> Iterator[Result]:
    """Yield the result of each endpoint, and print it; ``copies`` may be made in ours."""
    if job_id:
        yield reported(compare_runs(theirs, ours, job_id))
    their_ids, our_ids = find_ids(theirs), find_ids(ours)
    resources = find_resources(theirs, their_ids)
    their_ids |= ids_of(resources)
    our_ids |= ids_of(find_resources(ours, our_ids))
    if copies:
        copy_resources(resources, ours, our_ids)
    for endpoint in endpoints():
        yield reported(compare_endpoint(endpoint, theirs, their_ids, ours, our_ids))


def compare_endpoint(
    endpoint: Endpoint,
    theirs: DbtCloud,
    their_ids: dict[str, Any],
    ours: DbtCloud,
    our_ids: dict[str, Any],
) -> Result:
    return result_of(endpoint.path, endpoint.call(theirs, their_ids), endpoint.call(ours, our_ids))


def compare_runs(theirs: DbtCloud, ours: DbtCloud, job_id: int) -> Result:
    """Run both jobs, wait for the end of theirs, and compare the answers to the triggers."""
    path = f"{V2}/jobs/{{job_id}}/run"
    their_answer = trigger(theirs, job_id)
    if their_answer.body and their_answer.body["data"].get("id"):
        progress("Wait for the run")
        theirs.wait(their_answer.body["data"]["id"], RUN_SECONDS, POLL_SECONDS)
    our_job: Any = find_ids(ours).get("job_id")
    return result_of(f"POST {path}", their_answer, trigger(ours, our_job))


def trigger(dbt_cloud: DbtCloud, job_id: int) -> Answer:
    path = f"/api/v2/accounts/{dbt_cloud.account_id}/jobs/{job_id}/run/"
    return dbt_cloud.post(path, {"cause": CAUSE})


def result_of(endpoint: str, theirs: Answer, ours: Answer) -> Result:
    """Compare two answers; only the local dbt Cloud's own failure is a difference."""
    if theirs.note:
        return Result(endpoint, note=f"not compared, in dbt Cloud {theirs.note}")
    if ours.status:
        return Result(endpoint, (Difference("status", f"200 in dbt Cloud, {ours.status} here"),))
    if ours.note:
        return Result(endpoint, note=f"not compared, here {ours.note}")
    return Result(endpoint, tuple(differences(shape_of(theirs.body), shape_of(ours.body))))


def reported(result: Result) -> Result:
    progress(f"{result.endpoint}: {result.outcome}")
    return result


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
