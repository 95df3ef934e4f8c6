"""The value of a connection variable, ``AIRFLOW_CONN_…``, parsed by Airflow's rules.

Airflow silently skips a value that it cannot read, and uses its database instead. Importing its
``Connection`` takes seconds, so the rules are repeated here; a test compares both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

PREFIX = "AIRFLOW_CONN_"
EXAMPLE_FIELDS = {"login": "16173", "host": "ab123.us1.dbt.com", "conn_type": "dbt_cloud"}
TEXTS = ("conn_type", "host", "login", "password", "schema", "description")
OTHER_NAMES = {
    "conn_type": ("type", "conntype", "connection_type"),
    "host": ("access_url", "domain", "hostname", "server", "tenant", "url"),
    "login": ("account", "account_id", "dbt_cloud_account_id", "user", "username"),
    "password": ("api_key", "api_token", "dbt_cloud_token", "service_token", "token"),
}
QUOTES = "\"'`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}" + (
    "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
)


class UnusableConnectionError(Exception):
    """A connection's mistake and its fix, in one sentence without the connection's value."""


@dataclass(frozen=True)
class ConnectionFields:
    """The fields of Airflow's ``Connection`` that dbt Cloud connections use."""

    conn_type: str = ""
    host: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    port: int | None = None


def read_connection(text: str) -> ConnectionFields:
    """Return the fields that Airflow reads from the value: JSON, or a URI.

    Raises:
        UnusableConnectionError: Airflow could not use the value, or would misread it.
    """
    text = text.strip()
    if not text:
        raise UnusableConnectionError("It is empty: fill it in, or remove the line.")
    if text[0] in QUOTES and text[1:].lstrip(QUOTES + "\\ ").startswith("{"):
        raise UnusableConnectionError("Its JSON is in quotes: remove them.")
    if not text[0].isprintable():
        raise UnusableConnectionError(
            "It starts with an invisible character, such as a byte order mark: retype the line."
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnusableConnectionError("It is not UTF-8 text: retype the line.") from None
    return _from_json(text) if text[0] == "{" else _from_uri(text)


def _from_json(text: str) -> ConnectionFields:
    try:
        fields: dict[str, Any] = json.loads(text)
        json.dumps(fields, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise _json_mistake(text, error) from None
    except (ValueError, RecursionError):  # a lone surrogate, too many digits or levels
        raise UnusableConnectionError(
            "Its JSON has text or a number that cannot be stored: compare it with .env.example."
        ) from None
    given = {name: value for name, value in fields.items() if value or name in TEXTS}
    if given.keys() == {"uri"} and isinstance(given["uri"], str):
        return _from_uri(given["uri"])
    _check_keys(set(fields))
    check_texts(fields)
    check_extra(fields.get("extra") or "{}")
    return ConnectionFields(
        conn_type=_type(fields.get("conn_type") or ""),
        host=fields.get("host") or "",
        login=fields.get("login") or "",
        password=fields.get("password") or "",
        port=_port(fields.get("port")),
    )


def _json_mistake(text: str, error: json.JSONDecodeError) -> UnusableConnectionError:
    """Return the error for the first invalid character, counted from 1."""
    before, rest, position = text[: error.pos].rstrip(), text[error.pos :], error.pos + 1
    if not rest.strip():
        return UnusableConnectionError(
            f"Its JSON ends too early, at character {position}: write all of it on one line, up to "
            "the last brace."
        )
    if rest[0] in QUOTES and rest[0] != '"':
        return UnusableConnectionError(
            f'Its JSON has a quote other than " at character {position}: use double quotes only.'
        )
    if re.match(r",\s*}", rest) or (before.endswith(",") and rest[0] == "}"):
        return UnusableConnectionError(
            f"Its JSON has a comma before the last brace, at character {position}: remove it."
        )
    if rest[0] in "\r\n\t":
        return UnusableConnectionError(
            f"Its JSON has a line break or tab in a string, at character {position}: remove it."
        )
    return UnusableConnectionError(
        f"Its JSON is invalid at character {position} ({error.msg.partition(': ')[0]}): compare it "
        "with .env.example."
    )


def _check_keys(keys: set[str]) -> None:
    unknown = sorted(keys - {*TEXTS, "port", "extra"})
    if not unknown:
        return
    right = {other: name for name, others in OTHER_NAMES.items() for other in others}
    hints = [
        f"{right[plain]} instead of {key}"
        for key in unknown
        if (plain := re.sub(r"[\W_]+", "_", key.lower())) in right
    ]
    if hints:
        raise UnusableConnectionError(f"It has unknown keys: write {', '.join(hints)}.")
    raise UnusableConnectionError(
        "It has an unknown key: use only conn_type, host, login, password, schema, port, extra and "
        "description."
    )


def check_texts(fields: Mapping[str, object]) -> None:
    """Check that the text fields are text; Airflow cannot store a number there.

    Raises:
        UnusableConnectionError: a field is not text.
    """
    for name in TEXTS:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            kind = "a number" if type(value) in (int, float) else "not text"
            example = EXAMPLE_FIELDS.get(name, "…")
            raise UnusableConnectionError(
                f'Its {name} is {kind}: write it in quotes, as in "{name}": "{example}".'
            )


def check_extra(extra: Any) -> None:
    """Check that the extra is a JSON object, or the text of one.

    Raises:
        UnusableConnectionError: the extra is something else.
    """
    if not is_object(extra):
        raise UnusableConnectionError(
            'Its extra is not a JSON object: write it as in "extra": {"proxies": {}}, or remove it.'
        )


def is_object(extra: Any) -> bool:
    try:
        found = json.loads(extra) if isinstance(extra, str) else extra
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict)


def _type(conn_type: str) -> str:
    """Return the type as Airflow stores it."""
    return "postgres" if conn_type == "postgresql" else conn_type.replace("-", "_")


def _port(value: Any) -> int | None:
    try:
        return int(value) if value else None
    except (ValueError, TypeError, OverflowError):
        raise UnusableConnectionError(
            'Its port is not a number: remove it, and set "host": "HOST:PORT".'
        ) from None


def _from_uri(text: str) -> ConnectionFields:
    scheme, separator, _ = text.partition("://")
    if separator and "_" in scheme and re.fullmatch(r"[\w-]+", scheme):
        raise UnusableConnectionError(
            "The type of a URI cannot have an underscore: use a hyphen, as in dbt-cloud://."
        )
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) or not separator:
        raise UnusableConnectionError("It is neither JSON nor a URI: write it as in .env.example.")
    try:
        return _fields_of_uri(text)
    except ValueError:
        raise UnusableConnectionError(
            "Its URI cannot be parsed, possibly because of a / or # in the token: use JSON, as in "
            ".env.example."
        ) from None


def _fields_of_uri(text: str) -> ConnectionFields:
    """Parse a URI as Airflow's ``Connection.from_uri`` does."""
    scheme = urlsplit(text).scheme
    protocols = text.count("://") - 1
    rest = text.replace(f"{scheme}://", "" if protocols else "//")
    if protocols > 1 or (protocols and re.search("[@:]", rest.partition("://")[0])):
        raise UnusableConnectionError(
            "Its URI has a second :// after the login: remove https:// from the host."
        )
    parts = urlsplit(rest)
    host = _hostname(parts)
    query = parse_qs(parts.query, keep_blank_values=True)
    if "__extra__" in query:
        check_extra(query["__extra__"][-1] or "{}")
    return ConnectionFields(
        conn_type=_type(scheme),
        host=f"{parts.scheme}://{host}" if host and protocols else host,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        port=parts.port,
    )


def _hostname(parts: SplitResult) -> str:
    """Return the host as Airflow does: in lower case, unless it contains a path."""
    host = unquote(parts.hostname or "")
    if "/" in host:
        host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    return host
