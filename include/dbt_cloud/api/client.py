"""The tasks' client of dbt Cloud's API: it repeats failed reads, and sends each POST once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import requests
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_delay,
)

from ..airflow.compat import AirflowException
from .accounts import Account
from .responses import NoAnswerError, back_off, read_data, read_response

CONNECT_SECONDS, READ_SECONDS = 10, 60
RETRY_SECONDS = 90.0  # for a read; after that Airflow retries the task
log = logging.getLogger(__name__)
GROWS_TO = 20.0  # seconds between two attempts, unless `Retry-After` is longer
CANCEL_GROWS_TO = 2.0


def wait(state: RetryCallState) -> float:
    """Return a growing wait in seconds, at least ``Retry-After``."""
    error = state.outcome.exception() if state.outcome else None
    return back_off(state.attempt_number, getattr(error, "retry_after", 0), GROWS_TO)


def wait_briefly(state: RetryCallState) -> float:
    return back_off(state.attempt_number, longest=CANCEL_GROWS_TO)


def elapsed(state: RetryCallState) -> float:
    return state.seconds_since_start or 0.0


def was_undone(error: BaseException) -> bool:
    return isinstance(error, NoAnswerError) and error.is_undone


def account_of(connection: Any, account_id: int | str | None) -> int:
    """Return ``account_id`` or the connection's login; raise ``AirflowException`` without one."""
    try:
        return int(account_id or connection.login)
    except (TypeError, ValueError):
        raise AirflowException(
            f"Connection {connection.conn_id} has no account id: set its login."
        ) from None


def proxies_of(connection: Any, extra: Any) -> dict[str, str]:
    """Return the proxies of a connection's extra; raise ``AirflowException`` if it is invalid."""
    proxies = extra.get("proxies") if isinstance(extra, dict) else extra
    if proxies and not isinstance(proxies, dict):
        raise AirflowException(
            f"Could not read proxies from the extra of {connection.conn_id}: write it as "
            '{"proxies": {"https": "http://PROXY:PORT"}}, or remove it.'
        )
    return proxies or {}


class DbtCloudClient:
    """Calls the account's part of the API over one kept connection.

    The provider's hook supplies host, token and proxies. Its own calls have no time-out, do not
    repeat a read after 429 or 5xx, and may repeat a POST. ``retry_seconds`` limits the repetitions.
    """

    def __init__(
        self,
        hook: DbtCloudHook,
        account_id: int | None,
        retry_seconds: float | None = None,
        version: str = "v2",
    ) -> None:
        connection = hook.connection
        self.account_id = account_of(connection, account_id)
        proxies = proxies_of(connection, connection.extra_dejson)
        self._session = hook.get_conn()
        self._session.proxies = proxies
        self._url = f"{hook.base_url}"
        self._address = f"{self._url}api/{version}/accounts/{self.account_id}/"
        self._timeout = (CONNECT_SECONDS, hook.timeout_seconds or READ_SECONDS)
        self._retry_seconds = RETRY_SECONDS if retry_seconds is None else retry_seconds

    @property
    def account(self) -> Account:
        """Return the account that this client calls; raise ``ValueError`` for an invalid host."""
        return Account.at(self._url, self.account_id)

    def get(self, path: str, **params: Any) -> Any:
        """Return the ``data`` of the response, or the whole JSON of an artifact."""
        return self._repeat(
            retry_if_exception_type(NoAnswerError), lambda: self._call("GET", path, params=params)
        )

    def get_once(self, path: str, **params: Any) -> Any:
        """Return the same without retries, for callers with their own time limit."""
        return self._call("GET", path, params=params)

    def text(self, path: str, **params: Any) -> str:
        """Return an artifact that is not JSON."""
        text: str = self._repeat(
            retry_if_exception_type(NoAnswerError), lambda: self._text(path, params)
        )
        return text

    def pages(self, path: str, size: int, most: int, **params: Any) -> Iterator[Any]:
        """Yield the entries of a list; load at most ``most`` pages of ``size``, on demand."""
        for page in range(most):
            listed = self.get(path, limit=size, offset=page * size, **params)
            yield from listed
            if len(listed) < size:
                return

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send once; repeat only after a call that dbt Cloud certainly did not execute.

        Raises:
            NoAnswerError: dbt Cloud may have executed the call.
        """
        return self._repeat(
            retry_if_exception(was_undone), lambda: self._call("POST", path, json=body)
        )

    def cancel(self, run_id: int) -> None:
        """Cancel a run; repeat after failures, since cancelling twice is harmless.

        Ignore ``Retry-After``, since Airflow kills a worker five seconds after a user's click.
        """
        self._repeat(
            retry_if_exception_type(NoAnswerError),
            lambda: self._call("POST", f"runs/{run_id}/cancel/"),
            wait_briefly,
        )

    def _call(self, method: str, path: str, **options: Any) -> Any:
        response = self._request(method, path, **options)
        return read_data(path, response.status_code, response.headers, response.content)

    def _text(self, path: str, params: dict[str, Any]) -> str:
        response = self._request("GET", path, params=params)
        if not response.ok:
            read_response(response.status_code, response.headers, response.content)
        return response.content.decode(errors="replace")

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(
                method, self._address + path, timeout=self._timeout, **options
            )
        except requests.RequestException as error:
            raise NoAnswerError(f"dbt Cloud did not respond: {error}") from None

    def _repeat(
        self,
        when: Any,
        call: Callable[[], Any],
        pause: Callable[[RetryCallState], float] = wait,
    ) -> Any:
        """Repeat a call; make the last attempt at the limit, even if ``Retry-After`` is longer."""
        attempts = Retrying(
            retry=when,
            wait=lambda state: max(0.0, min(pause(state), self._retry_seconds - elapsed(state))),
            stop=stop_after_delay(self._retry_seconds),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        return attempts(call)
