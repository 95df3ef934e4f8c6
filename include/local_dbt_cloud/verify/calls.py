"""Read-only calls of one dbt Cloud, and what their failures mean."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ..storage.statuses import FINISHED

TIMEOUT = 30.0  # seconds of one call
RATE_LIMIT_TRIES = 3
MAX_PAUSE = 60.0  # seconds


class VerifyError(Exception):
    """The comparison cannot run; the message has the reason and the next step."""


@dataclass(frozen=True)
class Answer:
    """The body of a success, or a note for the report: it contains neither address nor value.

    ``status`` is the HTTP status of a refused call.
    """

    body: Any = None
    note: str = ""
    status: int | None = None


class DbtCloud:
    """The API of one account.

    Args:
        url: The start of every address, such as ``https://ab123.us1.dbt.com``.
        token: A token that can read the account.
        account_id: The account.
        ca_file: The authority to trust; None for that of the environment or the system.
    """

    def __init__(self, url: str, token: str, account_id: int, ca_file: str | None = None) -> None:
        self.account_id = account_id
        verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
        headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        self._client = httpx.Client(
            base_url=url, headers=headers, verify=verify, timeout=TIMEOUT, trust_env=not ca_file
        )

    def close(self) -> None:
        self._client.close()

    def check(self) -> None:
        """Raise VerifyError unless the account can be read."""
        try:
            response = self._request("GET", f"/api/v2/accounts/{self.account_id}/")
        except httpx.HTTPError as error:
            raise VerifyError(f"{self._client.base_url}: {explain(error)}") from None
        advice = {
            401: "the token is not valid here: check DBT_CLOUD_TOKEN and the host of its region.",
            403: f"the token cannot read account {self.account_id}: check DBT_CLOUD_ACCOUNT_ID.",
            404: f"account {self.account_id} was not found: check DBT_CLOUD_ACCOUNT_ID.",
        }
        if response.status_code in advice:
            raise VerifyError(f"{self._client.base_url}: {advice[response.status_code]}")
        if _json(response) is None or response.status_code != 200:
            raise VerifyError(
                f"{self._client.base_url} does not respond like dbt Cloud's API "
                f"({response.status_code}): set DBT_CLOUD_HOST to your access URL."
            )

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        return self._answer("GET", path, params=params)

    def post(self, path: str, body: Any) -> Answer:
        return self._answer("POST", path, json=body)

    def wait(self, run_id: int, seconds: float, pause: float) -> None:
        """Wait for the run's end; repeat a failed poll, and raise VerifyError at the limit."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.get(f"/api/v2/accounts/{self.account_id}/runs/{run_id}/")
            if answer.body and answer.body["data"]["status"] in FINISHED:
                return
            time.sleep(pause)
        raise VerifyError(f"The run did not end within {seconds:g} s.")

    def _answer(self, method: str, path: str, **more: Any) -> Answer:
        try:
            response = self._request(method, path, **more)
        except httpx.HTTPError as error:
            return Answer(note=note_of(error))
        if response.status_code == 403:
            return Answer(note="403: the token may not read this", status=403)
        if not response.is_success:
            return Answer(note=f"{response.status_code}", status=response.status_code)
        body = _json(response)
        return Answer(body) if body is not None else Answer(note="no JSON")

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        for _ in range(RATE_LIMIT_TRIES):
            response = self._client.request(method, path, **more)
            if response.status_code != 429:
                break
            time.sleep(min(_seconds(response.headers.get("Retry-After", "")), MAX_PAUSE))
        return response


def explain(error: httpx.HTTPError) -> str:
    """Return the reason and the next step, for the terminal."""
    note = note_of(error)
    advice = {
        "TLS error": "set SSL_CERT_FILE to a file with the authority of its certificate.",
        "no connection": "check DBT_CLOUD_HOST and your network.",
        "timeout": f"no response in {TIMEOUT:g} s: check DBT_CLOUD_HOST and your network.",
    }
    return f"{note} ({error}): {advice.get(note, 'try again.')}"


def note_of(error: httpx.HTTPError) -> str:
    """Return the kind of failure; the error's own text would contain the address."""
    if "CERTIFICATE" in str(error) or "SSL" in str(error):
        return "TLS error"
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    return "no connection" if isinstance(error, httpx.ConnectError) else "connection lost"


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 1.0
