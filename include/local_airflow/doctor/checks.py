"""What dbt Cloud is asked about one connection: host, certificate, token, account, jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import aiohttp
import requests

from include.dbt_cloud.api.advice import (
    BY_STATUS,
    NOT_REACHED,
    NOT_TRUSTED,
    is_untrusted,
)
from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.connections import Found
from include.local_airflow.doctor.job_tasks import JobTask
from include.local_airflow.doctor.service import Service
from include.local_airflow.doctor.webhooks import Receiver, heard
from include.local_airflow.settings.connection_check import check_connection
from include.local_airflow.settings.connection_variable import UnusableConnectionError

PROXY = (
    "Where the way leads through a proxy, name it in the connection's extra too: "
    '{"proxies": {"https": "http://PROXY:PORT"}}.'
)
LATER = "Ask again later: dbt Cloud is overloaded or down, https://status.getdbt.com knows."
NO_BUNDLE = "Correct REQUESTS_CA_BUNDLE."
DELETED = 2  # a job's state
PAGE = 100  # jobs in a list, at most


class ExampleJob(Finding):
    """A task has the id of a job that only the local dbt Cloud has."""


def examine(
    found: Found,
    tasks: list[JobTask],
    receiver: Receiver | None = None,
    examples: Collection[int] = (),
) -> Iterator[Finding]:
    """Yield the findings about a connection and the jobs of its tasks, until one ends the rest.

    Jobs whose ids are `examples`, and that the account does not have, come to one finding.
    """
    connection = found.connection
    login = connection.login or ""
    told = f"The connection {connection.conn_id} comes from {found.source}"
    tasks_name_accounts = bool(tasks) and all(task.account_id for task in tasks)
    try:
        check_connection(connection, needs_login=not tasks_name_accounts)
    except UnusableConnectionError as error:
        yield Finding(f"{told}, and cannot be used.", str(error))
        return
    service = Service(connection)
    account_name = f"{service.host}, account {login or 'named by its tasks'}"
    yield Finding(f"{told}: {account_name}.", short=f"{connection.conn_id} ({account_name})")
    try:
        yield from _ask(service, int(login or 0), tasks, receiver, examples)
    except requests.RequestException as error:
        advice = NOT_TRUSTED if is_untrusted(error) else NOT_REACHED
        yield Finding(f"{service.host} does not answer: {_reason(error)}.", advice)
    except OSError as error:  # requests' word for a missing file
        yield Finding(f"{service.host} was not asked: {error}.", NO_BUNDLE)


def _ask(
    service: Service,
    login: int,
    tasks: list[JobTask],
    receiver: Receiver | None,
    examples: Collection[int],
) -> Iterator[Finding]:
    """Yield what dbt Cloud tells; a `login` of 0 is none, since the tasks name their accounts."""
    named = [(task.account_id or login, task) for task in tasks]
    service.get("")
    yield _triggerer(service)
    usable = set[int]()
    for account in sorted({login, *(account for account, _ in named)} - {0}):
        finding = _account(service, account)
        yield finding
        usable |= set() if finding.advice else {account}
    if receiver and login in usable:
        yield heard(service, login, receiver)
    yield from _jobs(service, [each for each in named if each[0] in usable], examples)


def _triggerer(service: Service) -> Finding:
    try:
        asyncio.run(service.call_as_triggerer())
    except (aiohttp.ClientError, OSError) as error:
        return Finding(
            f"Tasks reach {service.host}, and the triggerer, which waits for runs, does not: "
            f"{_reason(error)}.",
            NOT_TRUSTED if is_untrusted(error) else PROXY,
        )
    return Finding(f"Tasks and the triggerer reach {service.host} and trust its certificate.")


def _account(service: Service, account: int) -> Finding:
    status, data = service.get(f"{account}/")
    if status == 401:
        return Finding(f"{service.host} does not accept the token.", BY_STATUS[401])
    if status in (403, 404):
        names = _named(service.get("")[1])
        return Finding(
            f"The token is not for account {account}.",
            f"It is for {names}: make that the connection's login." if names else BY_STATUS[403],
        )
    if status == 429 or status >= 500:
        return Finding(f"{service.host} answered {status}.", LATER)
    if status != 200 or not data:
        return Finding(f"{service.host} answered {status}, and not as dbt Cloud.", NOT_REACHED)
    for kind in ("jobs", "runs"):
        status, _ = service.get(f"{account}/{kind}/", limit=1)
        if status != 200:
            advice = BY_STATUS.get(status, LATER)
            return Finding(f"The token may not read the {kind} of account {account}.", advice)
    return Finding(
        f"The token may read the jobs and runs of account {account}, {data['name']}. Whether it "
        "may start a job, it shows only when it does; the permission set Job Admin allows it."
    )


def _jobs(
    service: Service, named: list[tuple[int, JobTask]], examples: Collection[int]
) -> Iterator[Finding]:
    """Yield a finding for the job of each account's task, and one for all example ids.

    That one is only a note if another task names a job of the account.
    """
    unchanged, has_own_job = set(), False
    for account, task in named:
        finding = _job(service, account, task, examples)
        if isinstance(finding, ExampleJob):
            unchanged.add(task.dag_id)
        else:
            has_own_job |= bool(task.job_id and not finding.advice)
            yield finding
    if unchanged:
        dags = ", ".join(sorted(unchanged))
        text = f"{len(unchanged)} Dags still have the ids of this repository's jobs: {dags}."
        if has_own_job:
            yield Finding(text, is_note=True)
        else:
            jobs = _jobs_once(service, named[0][0])
            yield Finding(text, f"Set JOB_ID in those that you use to {jobs}.")


def _job(service: Service, account: int, task: JobTask, examples: Collection[int]) -> Finding:
    if task.wrong_id:
        return Finding(
            f"{task}: {task.wrong_id} is not the id of a job.",
            f"Set {task.constant} in {task.file} to {_jobs_once(service, account)}.",
        )
    if task.job_id is None:
        return Finding(f"{task}: which job, only a run of the Dag knows.")
    status, job = service.get(f"{account}/jobs/{task.job_id}/", include_related='["environment"]')
    if status == 404 or (job and job["state"] == DELETED):
        if task.job_id in examples:
            return ExampleJob(str(task))
        return Finding(
            f"{task}: there is no job {task.job_id} in account {account} that the token may see.",
            f"Set {task.constant} in {task.file} to {_jobs_once(service, account)}.",
        )
    if status != 200 or not job:
        return Finding(
            f"{task}: {service.host} answered {status} about job {task.job_id}.",
            BY_STATUS.get(status, LATER),
        )
    place = (job.get("environment") or {}).get("name") or f"environment {job['environment_id']}"
    steps = ", ".join(job["execute_steps"])
    told = f"{task}: job {task.job_id} is {job['name']!r} in {place!r}, {steps}"
    if not (task.starts and job["triggers"]["schedule"]):
        return Finding(f"{told}.")
    page = f"{service.url}deploy/{account}/projects/{job['project_id']}/jobs/{task.job_id}"
    when = job.get("cron_humanized") or job["schedule"]["cron"]
    return Finding(
        f"{told}, and its own schedule is on: {when}.",
        f"It runs twice once the Dag has a schedule: turn one of them off, dbt Cloud's in {page}.",
    )


def _jobs_once(service: Service, account: int) -> str:
    """Name the account's jobs, and the next time just refer to them: often many ids are wrong."""
    if account in service.listed:
        return "one of those above"
    service.listed.add(account)
    jobs = service.get(f"{account}/jobs/", limit=PAGE)[1] or []
    if not jobs:
        return "a job that you make: there is none yet"
    return f"one of these: {_named(jobs)}" + (", and more" if len(jobs) == PAGE else "")


def _named(things: Iterable[dict[str, Any]] | None) -> str:
    return ", ".join(f"{thing['id']} ({thing['name']})" for thing in things or [])


def _reason(error: Exception) -> str:
    """The innermost words of an error that libraries have wrapped several times."""
    text = re.sub(r"\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    text = re.sub(r"\[SSL: \w+\] ", ": ", text)
    innermost, bracket, _ = text.rpartition(": ")[2].partition(" (")
    return innermost if bracket else innermost.rstrip("]'\").")
