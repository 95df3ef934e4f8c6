"""What to do when dbt Cloud refuses a call or cannot be reached.

``make doctor`` prints these sentences for its own calls, ``make run`` and the plugin
``plugins/log_dbt_cloud_advice.py`` for the exception of a task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import requests

NOT_REACHED = (
    "dbt Cloud was not reached: the connection's host has to be your access URL without https://, "
    "such as ab123.us1.dbt.com, and this machine has to have a way there."
    " The local dbt Cloud is started by make run and make start."
)
NOT_TRUSTED = (
    "The certificate that the connection's host shows is not trusted, or is not that host's: "
    "correct the host, or put the authority that your company's proxy signs with into one file "
    "with the usual ones, and name that file in REQUESTS_CA_BUNDLE and SSL_CERT_FILE in .env."
)
MALFORMED_TOKEN = (
    "The connection's password holds more than a token, such as a blank or the end of a line: take "
    "that away."
)
BY_STATUS = {
    400: "dbt Cloud cannot read a value of this request: set JOB_ID in the Dag to the number at "
    "the end of the job's address, …/jobs/JOB_ID, and correct what the answer above names.",
    401: "dbt Cloud does not know the token: make a service token with the permission set Job "
    "Admin (Account settings → Service tokens), put it into the connection's password, and your "
    "account's own access URL into the host.",
    403: "dbt Cloud knows the token, but does not let it do this in this account: set the "
    "connection's login to the number behind /deploy/ in the job's address, and give the token "
    "the permission set Job Admin for the job's project.",
    404: "dbt Cloud has no such job or run in this account, or the token may not see it: set "
    "JOB_ID in the Dag to the number at the end of the job's address, …/jobs/JOB_ID.",
}
_API = re.compile(r"/api/v\d/accounts/")
_ANSWERED = re.compile(r"dbt Cloud answered (\d{3})")  # include/dbt_cloud/api/responses.py
_HEADER = re.compile(r"Invalid header value b'Token ")  # Python
_UNDEFINED = re.compile(r"The conn_id `(.+)` isn't defined")  # Airflow


def no_connection(conn_id: str) -> str:
    """Return what to do about a connection that is nowhere."""
    return (
        f"Airflow has no connection {conn_id}: put AIRFLOW_CONN_{conn_id.upper()} into .env, as "
        ".env.example shows, or correct the name in the Dag."
    )


def is_untrusted(error: object) -> bool:
    """Tell a certificate that is not trusted from other trouble, such as a host without TLS."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def advice(error: object) -> str:
    """Return what to do about an exception, by its cause; empty for errors of other services."""
    return next(filter(None, map(_advice, _causes(error))), "")


def is_refused(error: object) -> bool:
    """Return whether dbt Cloud refused a call, so that a retry changes nothing."""
    return advice(error) in BY_STATUS.values()


def _causes(error: object) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, the last one first."""
    while isinstance(error, BaseException):
        yield error
        error = error.__cause__ or error.__context__


def _advice(error: BaseException) -> str:
    text = str(error)
    if undefined := _UNDEFINED.match(text):
        return no_connection(undefined[1])
    if answered := _ANSWERED.match(text):
        return BY_STATUS.get(int(answered[1]), "")
    if text.startswith("dbt Cloud did not answer"):
        return NOT_TRUSTED if is_untrusted(error) else NOT_REACHED
    if _HEADER.match(text):
        return MALFORMED_TOKEN
    if isinstance(error, requests.RequestException) and _concerns_dbt_cloud(error):
        return _of_request(error)
    return ""


def _concerns_dbt_cloud(error: requests.RequestException) -> bool:
    """Tell a call of dbt Cloud from those that other operators and tasks make."""
    return bool(error.request and _API.search(error.request.url or ""))


def _of_request(error: requests.RequestException) -> str:
    if error.response is not None:
        return BY_STATUS.get(error.response.status_code, "")
    return NOT_TRUSTED if is_untrusted(error) else NOT_REACHED
