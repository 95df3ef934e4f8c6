"""Unusable forms of a connection to dbt Cloud, with the message for each."""

from __future__ import annotations

import json
import re

NAME = "AIRFLOW_CONN_DBT_CLOUD_DEFAULT"
TOKEN = "dbtc_SeCrEt-0123456789"
GOOD = {"conn_type": "dbt_cloud", "host": "xy987.eu1.dbt.com", "login": "4242", "password": TOKEN}


def json_with(**change: object) -> str:
    return json.dumps(GOOD | change)


def json_without(*names: str) -> str:
    return json.dumps({name: value for name, value in GOOD.items() if name not in names})


def renamed(**names: str) -> str:
    return json.dumps({names.get(name, name): value for name, value in GOOD.items()})


FORMS = {
    "login is a number": (
        json_with(login=4242),
        'Its login is a number: write it in quotes, as in "login": "16173".',
    ),
    "login is zero": (json_with(login=0), "Its login is a number"),
    "login is true": (json_with(login=True), "Its login is not text"),
    "login is a list": (json_with(login=["4242"]), "Its login is not text"),
    "password is a number": (
        json_with(password=123456),
        "Its password is a number: write it in quotes",
    ),
    "host is a number": (json_with(host=1), "Its host is a number"),
    "type is a list": (json_with(conn_type=["dbt_cloud"]), "Its conn_type is not text"),
    "schema is a number": (json_with(schema=1), "Its schema is a number"),
    "keys of the guides": (
        renamed(login="account_id", password="token", host="tenant"),
        "write login instead of account_id, host instead of tenant, password instead of token.",
    ),
    "key for the account": (renamed(login="Account ID"), "write login instead of Account ID."),
    "key for the type": (renamed(conn_type="type"), "write conn_type instead of type."),
    "unknown key": (
        json_with(pasword="x"),
        "It has an unknown key: use only conn_type,",
    ),
    "own id": (json_with(conn_id="dbt_cloud_default"), "It has an unknown key"),
    "no last brace": (
        json_with()[:-1],
        f"Its JSON ends too early, at character {len(json_with())}:",
    ),
    "first line of several": (
        "{",
        "Its JSON ends too early, at character 2: write all of it on one line,",
    ),
    "no first brace": (
        json_with()[1:],
        "It is neither JSON nor a URI: write it as in .env.example.",
    ),
    "trailing comma": (
        json_with()[:-1] + ",}",
        "Its JSON has a comma before the last brace, at character",
    ),
    "trailing comma and blanks": (
        json_with()[:-1] + " , \n}",
        "Its JSON has a comma before the last brace",
    ),
    "no comma": (
        json_with().replace(", ", " "),
        "Its JSON is invalid at character 27 (Expecting ',' delimiter)",
    ),
    "no colon": (
        json_with().replace(": ", " ", 1),
        "(Expecting ':' delimiter): compare it with .env.example.",
    ),
    "no quotes at all": ("{conn_type: dbt_cloud}", "Its JSON is invalid at character 2 ("),
    "text behind the last brace": (json_with() + " # mine", "Its JSON is invalid at character"),
    "cut off by #": (json_with()[:-8], "Its JSON is invalid at character"),
    "single quotes": (
        str(GOOD),
        'Its JSON has a quote other than " at character 2: use double quotes only.',
    ),
    "single quotes in one place": (
        json_with().replace('"host"', "'host'"),
        'Its JSON has a quote other than " at character',
    ),
    "typographic quotes": (
        re.sub('"(.*?)"', "“\\1”", json_with()),
        'Its JSON has a quote other than " at character 2',
    ),
    "line break in a text": (
        json_with().replace("4242", "42\n42"),
        "Its JSON has a line break or tab in a string",
    ),
    "endless levels": (
        '{"extra": ' + "[" * 100_000,
        "Its JSON has text or a number that cannot be stored",
    ),
    "half a surrogate pair": (
        json_with(description="\ud800"),
        "Its JSON has text or a number that cannot be stored",
    ),
    "not UTF-8": (
        json_with().replace("4242", "42\udcff"),
        "It is not UTF-8 text: retype the line.",
    ),
    "quotes round the JSON": (f"'{json_with()}'", "Its JSON is in quotes: remove them."),
    "double quotes round the JSON": (
        f'"{json_with()}"',
        "Its JSON is in quotes: remove them.",
    ),
    "JSON in JSON": (json.dumps(json_with()), "Its JSON is in quotes: remove them."),
    "typographic quotes round the JSON": (
        f"“{json_with()}”",
        "Its JSON is in quotes: remove them.",
    ),
    "byte order mark": (
        "\ufeff" + json_with(),
        "It starts with an invisible character, such as a byte order mark",
    ),
    "zero-width space": ("\u200b" + json_with(), "It starts with an invisible character"),
    "empty": ("", "It is empty: fill it in, or remove the line."),
    "blank": (" \n", "It is empty: fill it in, or remove the line."),
    "token alone": (TOKEN, "It is neither JSON nor a URI: write it as in .env.example."),
    "host alone": ("xy987.eu1.dbt.com", "It is neither JSON nor a URI"),
    "host and port": ("xy987.eu1.dbt.com:443/x", "It is neither JSON nor a URI"),
    "a list": (f"[{json_with()}]", "It is neither JSON nor a URI"),
    "underscore in a URI": (
        f"dbt_cloud://4242:{TOKEN}@xy987.eu1.dbt.com",
        "The type of a URI cannot have an underscore: use a hyphen, as in dbt-cloud://.",
    ),
    "port in a URI": (
        f"dbt-cloud://4242:{TOKEN}@xy987.eu1.dbt.com:8443",
        'ignores the port of a connection: use JSON and set "host": "xy987.eu1.dbt.com:8443".',
    ),
    "port in a URI that is not a number": (
        f"dbt-cloud://4242:{TOKEN}@xy987.eu1.dbt.com:port",
        "Its URI cannot be parsed",
    ),
    "token with a slash in a URI": (
        f"dbt-cloud://4242:{TOKEN}/x@xy987.eu1.dbt.com",
        "Its URI cannot be parsed, possibly because of a / or # in the token",
    ),
    "token with a # in a URI": (
        f"dbt-cloud://4242:{TOKEN}#x@xy987.eu1.dbt.com",
        "Its URI cannot be parsed",
    ),
    "token with a bracket in a URI": (
        f"dbt-cloud://4242:{TOKEN}[@xy987.eu1.dbt.com",
        "Its URI cannot be parsed",
    ),
    "https:// in a URI": (
        f"dbt-cloud://4242:{TOKEN}@https://xy987.eu1.dbt.com",
        "Its URI has a second :// after the login: remove https://",
    ),
    "https:// before the login": (
        f"dbt-cloud://https://4242:{TOKEN}@xy987.eu1.dbt.com",
        "Its host starts with https://",
    ),
    "no login in a URI": (
        "dbt-cloud://xy987.eu1.dbt.com",
        "It has no login: set the account id",
    ),
    "no password in a URI": ("dbt-cloud://4242@xy987.eu1.dbt.com", "It has no password"),
    "no host in a URI": (f"dbt-cloud://4242:{TOKEN}@", "It has no host"),
    "other type in a URI": (f"dbt://4242:{TOKEN}@xy987.eu1.dbt.com", "Its type is not dbt_cloud"),
    "page of a job": (
        "https://xy987.eu1.dbt.com/deploy/4242/projects/1/jobs/2",
        "It is the URL of a page: write JSON as in .env.example",
    ),
    "former URL of a job's page": (
        "https://cloud.getdbt.com/#/accounts/1/projects/2/jobs/3/",
        "It is the URL of a page",
    ),
    "page of a job without https://": (
        "xy987.eu1.dbt.com/deploy/4242/projects/1/jobs/2",
        "It is neither JSON nor a URI",
    ),
    "no type": (json_without("conn_type"), 'It has no type: add "conn_type": "dbt_cloud".'),
    "no fields": ("{}", "It has no type"),
    "wrong type": (
        json_with(conn_type="dbt"),
        'Its type is not dbt_cloud: set "conn_type": "dbt_cloud".',
    ),
    "type of a web server": (json_with(conn_type="http"), "Its type is not dbt_cloud"),
    "type in capitals": (json_with(conn_type="DBT_CLOUD"), "Its type is not dbt_cloud"),
    "no host": (
        json_without("host"),
        "It has no host: set your access URL, such as ab123.us1.dbt.com",
    ),
    "null as host": (json_with(host=None), "It has no host"),
    "no login": (json_without("login"), "It has no login: set the account id"),
    "no password": (json_without("password"), "It has no password: set the service token."),
    "null as password": (json_with(password=None), "It has no password"),
    "https:// in the host": (
        json_with(host="https://xy987.eu1.dbt.com"),
        "Its host starts with https://: write only the name",
    ),
    "http:// in the host": (
        json_with(host="HTTP://xy987.eu1.dbt.com/"),
        "Its host starts with https://",
    ),
    "path in the host": (
        json_with(host="xy987.eu1.dbt.com/deploy/4242"),
        "Its host has a path: remove the / and everything after it",
    ),
    "slash behind the host": (json_with(host="xy987.eu1.dbt.com/"), "Its host has a path"),
    "blank behind the host": (
        json_with(host="xy987.eu1.dbt.com "),
        "Its host has a blank or a line break: remove it.",
    ),
    "line break behind the host": (
        json_with(host="xy987.eu1.dbt.com\n"),
        "Its host has a blank or a line break",
    ),
    "blank as host": (json_with(host=" "), "Its host has a blank or a line break"),
    "token as host": (
        json_with(host=TOKEN, password="xy987.eu1.dbt.com"),
        "Its host looks like a token: set the access URL as host",
    ),
    "old token as host": (json_with(host="0123456789abcdef" * 3), "Its host looks like a token"),
    "login in the host": (
        json_with(host=f"4242:{TOKEN}@xy987.eu1.dbt.com"),
        "Its host is not a name such as ab123.us1.dbt.com",
    ),
    "letters as port of the host": (
        json_with(host="xy987.eu1.dbt.com:https"),
        "Its host is not a name",
    ),
    "a port of its own": (
        json_with(port=8443),
        'ignores the port of a connection: use JSON and set "host": "xy987.eu1.dbt.com:8443".',
    ),
    "a port as text": (json_with(port="8443"), "provider ignores the port of a connection"),
    "a port in letters": (
        json_with(port="https"),
        "Its port is not a number: remove it, and set",
    ),
    "a list as port": (json_with(port=[443]), "Its port is not a number"),
    "an endless port": (json_with(port=float("inf")), "Its port is not a number"),
    "login with a blank": (
        json_with(login=" 4242"),
        "Its login is not an account id: set the number after /deploy/",
    ),
    "login is an address": (json_with(login="me@example.com"), "Its login is not an account id"),
    "login with a comma": (json_with(login="4,242"), "Its login is not an account id"),
    "login in other digits": (json_with(login="٤٢٤٢"), "Its login is not an account id"),
    "token with a blank": (
        json_with(password=f"{TOKEN} "),
        "Its password has a blank, a line break or another character",
    ),
    "token with its header's word": (
        json_with(password=f"Token {TOKEN}"),
        "Its password has a blank, a line break",
    ),
    "token with a line break": (
        json_with(password=f"{TOKEN}\n"),
        "Its password has a blank, a line break",
    ),
    "extra is a list": (json_with(extra=["x"]), "Its extra is not a JSON object: write it as in"),
    "extra is plain text": (json_with(extra="no JSON"), "Its extra is not a JSON object"),
    "extra is a list in text": (json_with(extra="[1]"), "Its extra is not a JSON object"),
    "extra is a number": (json_with(extra=1), "Its extra is not a JSON object"),
    "extra of a URI": (
        f"dbt-cloud://4242:{TOKEN}@xy987.eu1.dbt.com/?__extra__=no",
        "Its extra is not a JSON object",
    ),
    "example of the README": (
        "README.md",
        "Its password is still the example: replace it with your own.",
    ),
    "example of .env.example": (
        ".env.example",
        "Its password is still the example: replace it with your own.",
    ),
    "example of make eject": (
        "include/eject/templates/.env.example.template",
        "Its host is still the example: replace it with your own.",
    ),
    "stars of Airflow's API": (json_with(password="***"), "Its password is still the example"),
    "angle brackets": (json_with(password="<token>"), "Its password is still the example"),
    "example's host": (
        json_with(host="ab123.us1.dbt.com"),
        "Its host is still the example: set your account's",
    ),
}
