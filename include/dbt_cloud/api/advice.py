"""Advice for refused calls and unreachable hosts.

``make doctor`` prints it for its own calls; ``make run`` and ``plugins/log_dbt_cloud_advice.py``
print it for a task's exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import requests

NOT_REACHED = (
    "dbt Cloud was not reached: set the connection's host to your access URL without https://, "
    "such as ab123.us1.dbt.com, and check this machine's network access to it."
    " (as cloned, make run and make start start the local dbt Cloud)"
)
NOT_TRUSTED = (
    "The certificate that the connection's host shows is not trusted, or is for another host: "
    "correct the host, or append your company's certificate authority to a copy of the usual "
    "ones, and set REQUESTS_CA_BUNDLE and SSL_CERT_FILE in .env to that file."
)
MALFORMED_TOKEN = (
    "The connection's password contains more than a token, such as a blank or a line break: remove "
    "it."
)
BY_STATUS = {
    400: "dbt Cloud rejected a value of this request: set JOB_ID in the Dag to the number at "
    "the end of the job's address, …/jobs/JOB_ID, and correct the value named above.",
    401: "dbt Cloud rejected the token: create a service token with the permission set Job "
    "Admin (Account settings → Service tokens), set the connection's password to it, and the "
    "host to your account's own access URL.",
    403: "The token is valid, but is not allowed to do this in this account: set the "
    "connection's login to the number after /deploy/ in the job's address, and give the token "
    "the permission set Job Admin for the job's project.",
    404: "dbt Cloud has no such job or run in this account, or the token cannot see it: set "
    "JOB_ID in the Dag to the number at the end of the job's address, …/jobs/JOB_ID.",
}
_API = re.compile(r"/api/v\d/accounts/")
_RETURNED = re.compile(r"dbt Cloud returned (\d{3})")  # include/dbt_cloud/api/responses.py
_HEADER = re.compile(r"Invalid header value b'Token ")  # Python
_UNDEFINED = re.compile(r"The conn_id `(.+)` isn't defined")  # Airflow


def no_connection(conn_id: str) -> str:
    """Return the advice for an undefined connection."""
    return (
        f"Airflow has no connection {conn_id}: set AIRFLOW_CONN_{conn_id.upper()} in .env, as in "
        ".env.example, or correct the name in the Dag."
    )


def is_untrusted(error: object) -> bool:
    """Return whether an untrusted certificate caused the error, not, for example, missing TLS."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def advice(error: object) -> str:
    """Return the advice for an exception, by its cause; empty for errors of other services."""
    return next(filter(None, map(_advice, _causes(error))), "")


def is_refused(error: object) -> bool:
    """Return whether dbt Cloud refused a call, so that a retry would fail again."""
    return advice(error) in BY_STATUS.values()


def _causes(error: object) -> Iterator[BaseException]:
    """Yield an exception, then its causes."""
    while isinstance(error, BaseException):
        yield error
        error = error.__cause__ or error.__context__


def _advice(error: BaseException) -> str:
    text = str(error)
    if undefined := _UNDEFINED.match(text):
        return no_connection(undefined[1])
    if returned := _RETURNED.match(text):
        return BY_STATUS.get(int(returned[1]), "")
    if text.startswith("dbt Cloud did not respond"):
        return NOT_TRUSTED if is_untrusted(error) else NOT_REACHED
    if _HEADER.match(text):
        return MALFORMED_TOKEN
    if isinstance(error, requests.RequestException) and _concerns_dbt_cloud(error):
        return _of_request(error)
    return ""


def _concerns_dbt_cloud(error: requests.RequestException) -> bool:
    """Return whether the failed request was a call of dbt Cloud's API."""
    return bool(error.request and _API.search(error.request.url or ""))


def _of_request(error: requests.RequestException) -> str:
    if error.response is not None:
        return BY_STATUS.get(error.response.status_code, "")
    return NOT_TRUSTED if is_untrusted(error) else NOT_REACHED
