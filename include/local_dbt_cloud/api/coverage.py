"""Write COVERAGE.md, which operations are served and which clients call them: ``make readme``.

With the documents as arguments, ``python -m include.local_dbt_cloud.api.coverage FILE.yaml …``
first replaces the list of their operations, ``operations.tsv``.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .operations import OPERATIONS, SERVED, Operation, anonymous, endpoint_of, read_operations
from .routes import ROUTES

PAGE = Path(__file__).parents[1] / "COVERAGE.md"
CONTRACT_TESTS = Path(__file__).parents[3] / "tests" / "contract"
CAPTURES, CLIENTS = CONTRACT_TESTS / "captures.yaml", CONTRACT_TESTS / "clients.yaml"
KINDS = {"recorded": "recorded", "documentation": "in documentation"}
METHODS = frozenset({"get", "post", "put", "patch", "delete"})
VERSIONS = ("v2", "v3")
SPEC = "https://github.com/dbt-labs/dbt-cloud-openapi-spec"
INTRODUCTION = (
    "# Coverage of dbt Cloud's API",
    "",
    f"The operations of dbt Cloud's [OpenAPI files]({SPEC}) of v2 and v3, as of 2026-08-20, and "
    "which of them the local dbt Cloud serves. `make readme` writes this page.",
    "",
    'The column "seen" counts the public responses of the real service that a test compares with '
    "(`tests/contract/captures.yaml`). Without one, a served operation follows these files and the "
    "requests of clients; [CONTRACT.md](CONTRACT.md) has the sources. Operations that are not "
    "served return 501 with an error message.",
    "",
    'The column "used by" names the clients whose calls of the operation were recorded, with '
    "`--log-requests` (`tests/contract/clients.yaml`):",
    "",
)
UNDOCUMENTED = (
    "No document has these. A row without a client completes a resource that clients call, or is "
    "a call that Terraform's provider has, but its tests do not make."
)
Endpoint = tuple[str, str]  # method, and path with anonymous placeholders
Users = defaultdict[Endpoint, list[str]]  # names of clients


def documented_operations(document: str) -> Iterator[Operation]:
    """Yield the operations of an OpenAPI document."""
    for path, methods in yaml.safe_load(document)["paths"].items():
        for method in methods.keys() & METHODS:
            yield Operation(path, method.upper(), methods[method]["operationId"])


def endpoint(operation: str) -> Endpoint:
    """Return the endpoint of a text such as ``GET /api/v2/accounts/{account_id}``."""
    method, _, path = operation.partition(" ")
    return method, anonymous(path)


def responses_seen() -> dict[Endpoint, Counter[str]]:
    """Return endpoint → number of public captures of each kind."""
    seen: dict[Endpoint, Counter[str]] = defaultdict(Counter)
    for capture in yaml.safe_load(CAPTURES.read_text())["captures"]:
        seen[endpoint(capture["operation"])][capture["kind"]] += 1
    return seen


def read_clients() -> list[dict[str, Any]]:
    """Return the clients with their recorded calls; ``calls`` are all operations of a client."""
    clients: list[dict[str, Any]] = yaml.safe_load(CLIENTS.read_text())["clients"]
    for one in clients:
        one["calls"] = one["operations"] + one.get("not_documented", [])
    return clients


def users_of(clients: list[dict[str, Any]]) -> Users:
    """Return endpoint → names of the clients that called it."""
    users: Users = defaultdict(list)
    for client in clients:
        for operation in client["calls"]:
            users[endpoint(operation)].append(client["name"])
    return users


def page() -> str:
    """Return COVERAGE.md."""
    operations, seen, clients = read_operations(), responses_seen(), read_clients()
    users = users_of(clients)
    lines = [*INTRODUCTION, *client_table(clients), *unserved_table(operations, clients, users)]
    for version in VERSIONS:
        of_version = [one for one in operations if one.path.startswith(f"/api/{version}/")]
        count = sum(one.endpoint in SERVED for one in of_version)
        lines += [f"## {version}: {count} of {len(of_version)} operations are served", ""]
        lines += ["| method | path | operation | served | seen | used by |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [row(one, seen[one.endpoint], users) for one in of_version]
        lines += [""]
    documented = {one.endpoint for one in operations}
    lines += ["## Served because clients call them", "", UNDOCUMENTED, ""]
    lines += ["| method | path | used by |", "|---|---|---|"]
    lines += [
        f"| {route.method} | `{route.path}` | {', '.join(users[endpoint_of(route)])} |"
        for route in ROUTES
        if route.path.startswith("/api/") and endpoint_of(route) not in documented
    ]
    return "\n".join(lines) + "\n"


def client_table(clients: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines that explain the names in the column "used by"."""
    yield from ("| name | client | version | recorded | operations |", "|---|---|---|---|---|")
    for one in clients:
        facts = (one["name"], one["client"], one["version"], one["date"], len(one["calls"]))
        yield f"| {' | '.join(map(str, facts))} |"
    yield ""


def unserved_table(
    operations: list[Operation], clients: list[dict[str, Any]], users: Users
) -> Iterator[str]:
    """Yield the lines of the operations that clients call and this server does not serve."""
    names = {one.endpoint: one.name for one in operations}
    calls = {tuple(call.split()[::-1]) for client in clients for call in client["calls"]}
    yield from ("## Called by clients, but not served", "")
    yield from ("| method | path | operation | used by |", "|---|---|---|---|")
    for path, method in sorted(calls):
        called = (method, anonymous(path))
        if called not in SERVED:
            name = names.get(called, "not documented")
            yield f"| {method} | `{path}` | {name} | {', '.join(users[called])} |"
    yield ""


def row(one: Operation, seen: Counter[str], users: Users) -> str:
    served = "yes" if one.endpoint in SERVED else "501"
    kinds = ", ".join(f"{count} {KINDS[kind]}" for kind, count in sorted(seen.items()))
    clients = ", ".join(users[one.endpoint])
    return f"| {one.method} | `{one.path}` | {one.name} | {served} | {kinds} | {clients} |"


def main(documents: list[str]) -> None:
    if documents:
        found = (one for file in documents for one in documented_operations(Path(file).read_text()))
        rows = (f"{one.method}\t{one.path}\t{one.name}\n" for one in sorted(set(found)))
        OPERATIONS.write_text("".join(rows))
    PAGE.write_text(page())


if __name__ == "__main__":
    main(sys.argv[1:])
