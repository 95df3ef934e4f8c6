"""Connection variables are parsed by Airflow's own rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.models.connection import Connection as StoredConnection
from airflow.sdk import Connection
from airflow.secrets.environment_variables import EnvironmentVariablesBackend

from include.local_airflow.settings.connection_variable import (
    ConnectionFields,
    UnusableConnectionError,
    read_connection,
)
from tests.unit.local_airflow.connection_forms import FORMS

pytest.importorskip("hypothesis")
from hypothesis import example, given, settings  # comes with schemathesis
from hypothesis import strategies as st

NAMES = ("conn_type", "host", "login", "password", "port", "schema", "extra", "description")
# Values that Airflow accepts but that are mistakes, such as a connection without a type.
STRICTER = (
    "It is neither JSON nor a URI",
    "It starts with an invisible character",
    "Its JSON is in quotes",
    "The type of a URI cannot have an underscore",
    "Its conn_type is",  # false or 0, which is no type
    "Its host is",
    "Its schema is",
    "Its description is",
    "Its extra is not a JSON object",
    "Its JSON has text or a number that cannot be stored",
)


def as_airflow_reads(value: str, connection_class: Any) -> ConnectionFields | None:
    """Return the connection as a task or the API server reads it, ``None`` if Airflow skips it.

    Airflow converts each connection to a URI before returning it.
    """
    backend = EnvironmentVariablesBackend()
    backend._set_connection_class(connection_class)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_X", value)
        try:
            found = backend.get_connection("x")
            if not found:
                return None
            found.get_uri()
        except Exception:  # as in airflow.sdk.execution_time.context
            return None
    names = ("conn_type", "host", "login", "password")
    fields: dict[str, Any] = {name: getattr(found, name) or "" for name in names}
    return ConnectionFields(port=found.port, **fields)


def assert_same_as_airflow(value: str) -> None:
    theirs = [as_airflow_reads(value, each) for each in (Connection, StoredConnection)]
    try:
        ours = [read_connection(value)] * 2
    except UnusableConnectionError as error:
        is_same = None in theirs or str(error).startswith(STRICTER)
    else:
        is_same = theirs == ours
    assert is_same, value


@pytest.mark.parametrize("form", FORMS)
def test_read_connection_parses_each_form_as_airflow(form: str) -> None:
    assert_same_as_airflow(FORMS[form][0])


text = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
anything = st.none() | st.booleans() | st.integers() | st.floats() | text
value = anything | st.lists(anything, max_size=2) | st.dictionaries(text, anything, max_size=2)
names = st.sampled_from((*NAMES, *NAMES, "conn_id", "account_id"))
objects = st.dictionaries(names, value, max_size=6).map(json.dumps)
usual = st.fixed_dictionaries({name: text for name in NAMES[:4]}).map(json.dumps)


@settings(max_examples=150)
@given(objects | usual)
@example('{"conn_type": "postgresql"}')
def test_read_connection_parses_json_as_airflow(value: str) -> None:
    assert_same_as_airflow(value)


@settings(max_examples=150)
@given(usual, st.integers(0, 80), st.sampled_from(("", "'", '"', ",", "}", "{", "\n", "\\", "1")))
def test_read_connection_parses_damaged_json_as_airflow(value: str, place: int, sign: str) -> None:
    assert_same_as_airflow(value[:place] + sign + value[place + 1 :])


WORDS = ("dbt-cloud", "dbt_cloud", "https", "4242", "token", "XY987.eu1.dbt.com", "__extra__", "{}")
pieces = st.sampled_from([*WORDS, "://", "%2F", "%3A", *":@/?#[]%=& é\n"])


@settings(max_examples=250)
@given(st.sampled_from(("", "dbt-cloud://", "dbt-cloud://4242:")), st.lists(pieces, max_size=9))
@example("dbt-cloud://4242:token@XY987.eu1.dbt.com:8443/schema", ["?a=1"])
@example("dbt-cloud://dbt-cloud://@", [])
@example("dbt-cloud://https://4242:token@host", [])
@example("dbt-cloud://4242:token@host%2Fpath", [])
@example("postgresql://4242:token@host", [])
def test_read_connection_parses_a_uri_as_airflow(start: str, rest: list[str]) -> None:
    assert_same_as_airflow(start + "".join(rest))
