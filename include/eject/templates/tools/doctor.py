"""``make doctor``: check the connection, the token and each job id; all checks are read-only.

It prints a line for each check, and a fix below each problem. The exit status is 0 if all pass.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environment import ROOT, airflow_environment

DEFAULT = "dbt_cloud_default"
RESPONSE_TIMEOUT = 10  # seconds
DELETED = 2  # the state of a job
SET_HOST = "Set the connection's host to your access URL, without https://."
ADVICE = {
    401: "Create a service token with the permission set Job Admin; set it as password.",
    403: "Set the connection's login to the account id, and give the token Job Admin for it.",
    404: "Set the connection's login to the account id: the number after /deploy/ in a job's URL.",
}


@dataclass(frozen=True)
class JobId:
    """A constant of a Dag file; ``place`` is its file and line."""

    place: str
    name: str
    value: object
    conn_id: str


class Account:
    """The connection's account in dbt Cloud."""

    def __init__(self, conn_id: str) -> None:
        from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

        hook = DbtCloudHook(conn_id)
        self.session = hook.get_conn()
        self.session.proxies = hook.connection.extra_dejson.get("proxies") or {}
        self.id = int(hook.connection.login or "")
        self.host = str(hook.base_url)

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and data; raise OSError or ValueError if dbt Cloud does not respond."""
        url = f"{self.host}api/v2/accounts/{self.id}/{path}"
        response = self.session.get(url, timeout=RESPONSE_TIMEOUT)
        return response.status_code, response.json()["data"] if response.ok else None


def main() -> int:
    """Print the findings; return 0 only if there is no problem."""
    os.environ.update(airflow_environment())
    problems = 0
    for text, advice in findings(sorted((ROOT / "dags").rglob("*.py"))):
        print(f"✗ {text}\n  {advice}" if advice else f"✓ {text}")
        problems += bool(advice)
    print(f"Problems: {problems}, marked ✗." if problems else "All checks passed.")
    return 1 if problems else 0


def findings(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield each finding, with the fix of a problem or an empty text."""
    constants = {file: dict(constants_of(file)) for file in files}
    conn_ids = {found.get("DBT_CLOUD_CONN_ID", (0, DEFAULT))[1] for found in constants.values()}
    for conn_id in sorted(map(str, conn_ids | {DEFAULT})):
        yield from examine(conn_id, [job for job in job_ids(constants) if job.conn_id == conn_id])


def constants_of(file: Path) -> Iterator[tuple[str, tuple[int, object]]]:
    """Yield name, line and value of the module-level constants of a file."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                yield ast.unparse(target), (node.lineno, node.value.value)


def job_ids(constants: dict[Path, dict[str, tuple[int, object]]]) -> Iterator[JobId]:
    for file, found in constants.items():
        conn_id = str(found.get("DBT_CLOUD_CONN_ID", (0, DEFAULT))[1])
        for name, (line, value) in found.items():
            if name.endswith("JOB_ID"):
                yield JobId(f"{file.relative_to(ROOT)}:{line}", name, value, conn_id)


def examine(conn_id: str, jobs: list[JobId]) -> Iterator[tuple[str, str]]:
    try:
        account = Account(conn_id)
    except Exception as error:  # each secrets backend has its own
        advice = f"Set AIRFLOW_CONN_{conn_id.upper()} in .env, as in .env.example."
        yield f"The connection {conn_id} cannot be used: {first_line(error)}", advice
        return
    try:
        status, listed = account.get("jobs/?limit=100")
        if status != 200:
            advice = ADVICE.get(status, "Try again later: https://status.getdbt.com.")
            yield f"{account.host} returned {status} for account {account.id}.", advice
            return
        yield f"{conn_id}: {account.host}, account {account.id}, {len(listed)} jobs.", ""
        yield from (examine_job(account, job, listed) for job in jobs)
    except (OSError, ValueError) as error:
        yield f"{account.host} does not respond as dbt Cloud: {first_line(error)}", SET_HOST


def examine_job(account: Account, job: JobId, listed: list[dict[str, Any]]) -> tuple[str, str]:
    text = f"{job.place}: {job.name} = {job.value!r}"
    found = account.get(f"jobs/{job.value}/")[1] if isinstance(job.value, int) else None
    if found and found["state"] != DELETED:
        return f"{text} is {found['name']!r}.", ""
    names = ", ".join(f"{one['id']} ({one['name']})" for one in listed)
    return f"{text} is not a job of account {account.id}.", f"Set it to one of these: {names}."


def first_line(error: Exception) -> str:
    return (f"{error}".splitlines() or [type(error).__name__])[0]


if __name__ == "__main__":
    sys.exit(main())
