"""The checks of one connection: host, certificate, token, account, webhooks and jobs."""

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
from include.local_airflow.doctor.connections import ResolvedConnection
from include.local_airflow.doctor.job_tasks import JobTask
from include.local_airflow.doctor.service import Service
from include.local_airflow.doctor.webhooks import Receiver, check_receiver
from include.local_airflow.settings.connection_check import check_connection
from include.local_airflow.settings.connection_variable import UnusableConnectionError

PROXY = (
    "If the network requires a proxy, set it in the connection's extra too: "
    '{"proxies": {"https": "http://PROXY:PORT"}}.'
)
LATER = "Try again later: dbt Cloud is overloaded or down, see https://status.getdbt.com."
NO_BUNDLE = "Correct REQUESTS_CA_BUNDLE."
DELETED = 2  # the state of a job
PAGE = 100  # jobs per response, at most


class ExampleJob(Finding):
    """A task names a job that exists only in the local dbt Cloud."""


def examine(
    found: ResolvedConnection,
    tasks: list[JobTask],
    receiver: Receiver | None = None,
    examples: Collection[int] = (),
) -> Iterator[Finding]:
    """Yield the findings about a connection and the jobs of its tasks, up to a fatal one.

    Ids in ``examples`` that the account lacks are combined in one finding.
    """
    connection = found.connection
    login = connection.login or ""
    text = f"The connection {connection.conn_id} comes from {found.source}"
    tasks_name_accounts = bool(tasks) and all(task.account_id for task in tasks)
    try:
        check_connection(connection, needs_login=not tasks_name_accounts)
    except UnusableConnectionError as error:
        yield Finding(f"{text}, and cannot be used.", str(error))
        return
    service = Service(connection)
    account_name = f"{service.host}, account {login or 'named by its tasks'}"
    yield Finding(f"{text}: {account_name}.")
    try:
        yield from _check_service(service, int(login or 0), tasks, receiver, examples)
    except requests.RequestException as error:
        advice = NOT_TRUSTED if is_untrusted(error) else NOT_REACHED
        yield Finding(f"{service.host} does not respond: {_reason(error)}.", advice)
    except OSError as error:  # requests raises it for a missing CA bundle
        yield Finding(f"{service.host} was not checked: {error}.", NO_BUNDLE)


def _check_service(
    service: Service,
    login: int,
    tasks: list[JobTask],
    receiver: Receiver | None,
    examples: Collection[int],
) -> Iterator[Finding]:
    """Yield the findings about accounts, webhooks and jobs; a ``login`` of 0 means none."""
    named = [(task.account_id or login, task) for task in tasks]
    service.get("")
    yield _check_triggerer(service)
    usable = set[int]()
    for account in sorted({login, *(account for account, _ in named)} - {0}):
        finding = _check_account(service, account)
        yield finding
        usable |= set() if finding.advice else {account}
    if receiver and login in usable:
        yield check_receiver(service, login, receiver)
    yield from _check_jobs(service, [each for each in named if each[0] in usable], examples)


def _check_triggerer(service: Service) -> Finding:
    try:
        asyncio.run(service.call_as_triggerer())
    except (aiohttp.ClientError, OSError) as error:
        return Finding(
            f"Tasks can reach {service.host}, but the triggerer, which waits for runs, cannot: "
            f"{_reason(error)}.",
            NOT_TRUSTED if is_untrusted(error) else PROXY,
        )
    return Finding(f"Tasks and the triggerer reach {service.host} and trust its certificate.")


def _check_account(service: Service, account: int) -> Finding:
    status, data = service.get(f"{account}/")
    if status == 401:
        return Finding(f"{service.host} rejected the token.", BY_STATUS[401])
    if status in (403, 404):
        names = _id_list(service.get("")[1])
        return Finding(
            f"The token is not valid for account {account}.",
            f"It is valid for {names}: set the connection's login to that id."
            if names
            else BY_STATUS[403],
        )
    if status == 429 or status >= 500:
        return Finding(f"{service.host} returned {status}.", LATER)
    if status != 200 or not data:
        return Finding(f"{service.host} returned {status} and is not dbt Cloud.", NOT_REACHED)
    for kind in ("jobs", "runs"):
        status, _ = service.get(f"{account}/{kind}/", limit=1)
        if status != 200:
            advice = BY_STATUS.get(status, LATER)
            return Finding(f"The token cannot read the {kind} of account {account}.", advice)
    return Finding(
        f"The token can read the jobs and runs of account {account}, {data['name']}. Starting a "
        "job also requires the permission set Job Admin, which is not checked.",
        short=f"{service.conn_id} ({service.host}, account {account})",
    )


def _check_jobs(
    service: Service, named: list[tuple[int, JobTask]], examples: Collection[int]
) -> Iterator[Finding]:
    """Yield a finding for each task's job, and one for all example ids.

    The latter is only a note if another task names a job of the account.
    """
    unchanged, has_own_job = set(), False
    for account, task in named:
        finding = _check_job(service, account, task, examples)
        if isinstance(finding, ExampleJob):
            unchanged.add(task.dag_id)
        else:
            has_own_job |= bool(task.job_id and not finding.advice)
            yield finding
    if unchanged:
        dags = ", ".join(sorted(unchanged))
        text = f"{len(unchanged)} Dags still have the job ids of this repository: {dags}."
        if has_own_job:
            yield Finding(text, is_note=True)
        else:
            jobs = _job_list(service, named[0][0])
            yield Finding(text, f"In the Dags that you use, set JOB_ID to {jobs}.")


def _check_job(service: Service, account: int, task: JobTask, examples: Collection[int]) -> Finding:
    if task.wrong_id:
        return Finding(
            f"{task}: {task.wrong_id} is not a job id.",
            f"Set {task.constant} in {task.file} to {_job_list(service, account)}.",
        )
    if task.job_id is None:
        return Finding(f"{task}: not checked, because the job id is set at run time.")
    status, job = service.get(f"{account}/jobs/{task.job_id}/", include_related='["environment"]')
    if status == 404 or (job and job["state"] == DELETED):
        if task.job_id in examples:
            return ExampleJob(str(task))
        return Finding(
            f"{task}: job {task.job_id} does not exist in account {account}, or the token cannot "
            "read it.",
            f"Set {task.constant} in {task.file} to {_job_list(service, account)}.",
        )
    if status != 200 or not job:
        return Finding(
            f"{task}: {service.host} returned {status} for job {task.job_id}.",
            BY_STATUS.get(status, LATER),
        )
    place = (job.get("environment") or {}).get("name") or f"environment {job['environment_id']}"
    steps = ", ".join(job["execute_steps"])
    text = f"{task}: job {task.job_id} is {job['name']!r} in {place!r}, {steps}"
    if not (task.starts and job["triggers"]["schedule"]):
        return Finding(f"{text}.")
    page = f"{service.url}deploy/{account}/projects/{job['project_id']}/jobs/{task.job_id}"
    when = job.get("cron_humanized") or job["schedule"]["cron"]
    return Finding(
        f"{text}, and its own schedule is on: {when}.",
        f"With a schedule in the Dag too, it runs twice: turn one off (dbt Cloud's in {page}).",
    )


def _job_list(service: Service, account: int) -> str:
    """Return the list of the account's jobs; the next time refer to that list."""
    if account in service.listed:
        return "one of the jobs listed above"
    service.listed.add(account)
    jobs = service.get(f"{account}/jobs/", limit=PAGE)[1] or []
    if not jobs:
        return "a new job: the account has none"
    return f"one of these: {_id_list(jobs)}" + (", and more" if len(jobs) == PAGE else "")


def _id_list(things: Iterable[dict[str, Any]] | None) -> str:
    return ", ".join(f"{thing['id']} ({thing['name']})" for thing in things or [])


def _reason(error: Exception) -> str:
    """Return the innermost message of an error that libraries have wrapped several times."""
    text = re.sub(r"\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    text = re.sub(r"\[SSL: \w+\] ", ": ", text)
    innermost, bracket, _ = text.rpartition(": ")[2].partition(" (")
    return innermost if bracket else innermost.rstrip("]'\").")
