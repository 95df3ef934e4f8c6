"""dbt Cloud's API as a task uses it: reads are repeated, what changes something is sent once."""

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
from .responses import NoAnswerError, back_off, read_data, read_response

CONNECT_SECONDS, READ_SECONDS = 10, 60
RETRY_SECONDS = 90.0  # how long a read is repeated; after that Airflow retries the task
log = logging.getLogger(__name__)
GROWS_TO = 20.0  # seconds between two tries, unless dbt Cloud asks for more
CANCEL_GROWS_TO = 2.0


def wait(state: RetryCallState) -> float:
    """Growing waits, and at least as long as dbt Cloud asks for."""
    error = state.outcome.exception() if state.outcome else None
    return back_off(state.attempt_number, getattr(error, "retry_after", 0), GROWS_TO)


def wait_briefly(state: RetryCallState) -> float:
    return back_off(state.attempt_number, longest=CANCEL_GROWS_TO)


def elapsed(state: RetryCallState) -> float:
    return state.seconds_since_start or 0.0


def was_undone(error: BaseException) -> bool:
    return isinstance(error, NoAnswerError) and error.is_undone


def account_of(connection: Any, account_id: int | str | None) -> int:
    """Without an id of one's own it is the connection's login; raises AirflowException."""
    try:
        return int(account_id or connection.login)
    except (TypeError, ValueError):
        raise AirflowException(
            f"Connection {connection.conn_id} lacks its login: the account id."
        ) from None


def proxies_of(connection: Any, extra: Any) -> dict[str, str]:
    """Return what a connection's extra names; raises AirflowException if it has another form."""
    proxies = extra.get("proxies") if isinstance(extra, dict) else extra
    if proxies and not isinstance(proxies, dict):
        raise AirflowException(
            f"The extra of {connection.conn_id} names no proxies: write it as "
            '{"proxies": {"https": "http://PROXY:PORT"}}, or remove it.'
        )
    return proxies or {}


class DbtCloudClient:
    """The account's part of the API, over one kept connection.

    The provider's hook brings host, token and proxies. Its calls are not used because they have no
    time-out, do not repeat a read after 429 or 5xx, and may repeat a POST. ``patience`` is how many
    seconds a call is repeated.
    """

    def __init__(
        self, hook: DbtCloudHook, account_id: int | None, patience: float | None = None
    ) -> None:
        connection = hook.connection
        self.account_id = account_of(connection, account_id)
        proxies = proxies_of(connection, connection.extra_dejson)
        self._session = hook.get_conn()
        self._session.proxies = proxies
        self._address = f"{hook.base_url}api/v2/accounts/{self.account_id}/"
        self._timeout = (CONNECT_SECONDS, hook.timeout_seconds or READ_SECONDS)
        self._patience = RETRY_SECONDS if patience is None else patience

    def get(self, path: str, **params: Any) -> Any:
        """The ``data`` of the answer, or the whole JSON of an artifact."""
        return self._repeat(
            retry_if_exception_type(NoAnswerError), lambda: self._call("GET", path, params=params)
        )

    def get_once(self, path: str, **params: Any) -> Any:
        """The same without a repetition, for a caller with a clock of its own."""
        return self._call("GET", path, params=params)

    def text(self, path: str, **params: Any) -> str:
        """An artifact that is no JSON."""
        text: str = self._repeat(
            retry_if_exception_type(NoAnswerError), lambda: self._text(path, params)
        )
        return text

    def pages(self, path: str, size: int, most: int, **params: Any) -> Iterator[Any]:
        """What a list has, in ``most`` pages of ``size`` entries at most; read as it is needed."""
        for page in range(most):
            listed = self.get(path, limit=size, offset=page * size, **params)
            yield from listed
            if len(listed) < size:
                return

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Sent again only if dbt Cloud certainly did nothing. Raises NoAnswerError otherwise."""
        return self._repeat(
            retry_if_exception(was_undone), lambda: self._call("POST", path, json=body)
        )

    def cancel(self, run_id: int) -> None:
        """Cancelling twice is harmless, so this is repeated like a read.

        But without regard to ``Retry-After``: Airflow kills a worker five seconds after it has
        asked the task to end.
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
            raise NoAnswerError(f"dbt Cloud did not answer: {error}") from None

    def _repeat(
        self,
        when: Any,
        call: Callable[[], Any],
        pause: Callable[[RetryCallState], float] = wait,
    ) -> Any:
        """The last try comes when the patience ends, however long dbt Cloud asks to wait."""
        attempts = Retrying(
            retry=when,
            wait=lambda state: max(0.0, min(pause(state), self._patience - elapsed(state))),
            stop=stop_after_delay(self._patience),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        return attempts(call)
