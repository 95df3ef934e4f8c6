"""A scripted dbt Cloud API in memory, whose runs advance step by step.

It replaces the local dbt Cloud in tests with thousands of runs. ``test_models.py`` compares its
responses with those of the local dbt Cloud.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from include.dbt_cloud.api.responses import NoAnswerError, read_data
from include.dbt_cloud.run.recovery import selector

ACCOUNT, JOB = 16173, 65767
CONNECTION = {"conn_type": "dbt_cloud", "host": "dbt", "login": str(ACCOUNT), "password": "x"}
RUNNING, SUCCESS, ERROR, CANCELLED = 3, 10, 20, 30
GOOD = {"success", "pass", "warn", "no-op", "reused"}
# Command → kinds of nodes.
KINDS = {
    "build": ("seed", "model", "snapshot", "test", "unit_test"),
    "run": ("model",),
    "seed": ("seed",),
    "snapshot": ("snapshot",),
    "test": ("test", "unit_test"),
}
CORE = {  # dbt Core's words by status, or by status and kind
    "success model": "OK created sql table model {}",
    "success seed": "OK loaded seed file {}",
    "success snapshot": "OK snapshotted {}",
    "error model": "ERROR creating sql table model {}",
    "error seed": "ERROR loading seed file {}",
    "error snapshot": "ERROR snapshotting {}",
    "skipped": "SKIP relation {}",
    "skipped test": "SKIP test {}",
    "pass": "PASS {}",
    "warn": "WARN 2 {}",
    "fail": "FAIL 3 {}",
    "error": "ERROR {}",
    "reused": "REUSED sql table model {}",
    "no-op": "NO-OP sql view model {}",
    "partial success": "PARTIALLY SUCCEEDED sql microbatch model {}",
}


@dataclass(frozen=True)
class Node:
    unique_id: str
    parents: tuple[str, ...] = ()
    folder: str = ""
    tags: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.unique_id.partition(".")[0]

    @property
    def name(self) -> str:
        parts = self.unique_id.split(".")
        return "::".join(parts[2:]) if self.kind == "unit_test" else parts[2]

    @property
    def is_test(self) -> bool:
        return self.kind in ("test", "unit_test")

    @property
    def label(self) -> str:
        return self.name if self.is_test else f"analytics.{self.name}"

    def as_lineage(self) -> dict[str, Any]:
        relation = f"warehouse.{self.label}" if self.label != self.name else ""
        fields = {"unique_id": self.unique_id, "name": self.name, "type": self.kind}
        places = {"folder": self.folder, "tags": list(self.tags), "relation": relation}
        return fields | {"parents": list(self.parents)} | places


@dataclass
class Step:
    index: int
    name: str
    command: str = ""
    status: int = RUNNING
    lines: list[str] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    artifact: dict[str, Any] | None = None


@dataclass
class Run:
    id: int
    cause: str
    commands: list[str]
    steps_override: list[str] | None = None
    retries: Run | None = None
    status: int = 1
    steps: list[Step] = field(default_factory=list)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    events: Iterator[None] = field(default_factory=lambda: iter(()))

    @property
    def is_active(self) -> bool:
        return self.status < SUCCESS

    @property
    def origin(self) -> Run:
        """Return the first run of the chain that this run resumes."""
        return self.retries.origin if self.retries else self

    @property
    def command(self) -> str:
        """Return the current or last command."""
        return self.steps[-1].command if self.steps else ""

    @property
    def failed_step(self) -> Step | None:
        failed = [step for step in self.steps if step.status == ERROR]
        return failed[-1] if failed else None

    def end(self, status: int) -> None:
        self.status = status
        for step in self.steps:
            step.status = status if step.status == RUNNING else step.status


A, B, C, D = (f"model.shop.{name}" for name in "abcd")
COUNTRIES, UNIQUE_B = "seed.shop.countries", "test.shop.unique_b.f00"
NODES = [
    Node(COUNTRIES),
    Node(A, folder="staging"),
    Node(B, (A,), folder="marts", tags=("daily",)),
    Node(UNIQUE_B, (B,)),
    Node(C, (B,), folder="marts"),
    Node(D, folder="finance"),
]


class WorkerDiedError(BaseException):
    """A worker died during a call."""


class ScriptedDbtCloud:
    """One job with ``nodes``, parents first.

    ``choose`` returns a node's status, ``choose_command`` whether a command itself succeeds.
    ``hooks`` run after each command that runs nodes. ``logged`` replaces statuses in the log, whose
    ``grammar`` is ``core``, ``fusion`` or ``unknown``; ``freshness`` is its line about a source.
    Nodes that are ``lost`` have no results. ``refused`` is the HTTP status for artifacts. While it
    ``is_down``, the triggerer's calls fail. A worker ``dies`` ``before`` or ``after`` its next one.
    Without ``has_retried_run`` a retry has no ``retrying_run_id``. ``message`` is the message of
    each result.
    """

    def __init__(self, nodes: list[Node], *steps: str, grammar: str = "core") -> None:
        self.nodes = nodes
        self.job_steps = list(steps)
        self.grammar = grammar
        self.runs: list[Run] = []
        self.choose: Callable[[Node, Run], str] = lambda node, run: good_status(node)
        self.choose_command: Callable[[str], bool] = lambda command: True
        self.logged: dict[str, str] = {}
        self.freshness = "1 of 1 PASS freshness of {} ..... [PASS in 0.01s]"
        self.hooks: dict[str, str] = {}
        self.lost: set[str] = set()
        self.refused = 0
        self.has_retried_run = True
        self.message = ""
        self.is_down = False
        self.dies = ""

    # What happens in dbt Cloud

    def start(self, steps: list[str] | None = None, cause: str = "") -> Run:
        return self._add(Run(len(self.runs) + 1, cause, list(steps or self.job_steps), steps))

    def retry(self, failed: Run) -> Run:
        """Retry a run as the button in dbt Cloud does, with dbt Cloud's own cause."""
        assert not self.reason(failed)
        commands, cause = failed.commands[self._place(failed) :], f"Retry of run {failed.id}"
        return self._add(Run(len(self.runs) + 1, cause, commands, failed.steps_override, failed))

    def _add(self, run: Run) -> Run:
        run.events = self._play(run)
        self.runs.append(run)
        return run

    @staticmethod
    def _place(failed: Run) -> int:
        """Return the index of the failed command."""
        ran = [step for step in failed.steps if step.index > 3]
        return len(ran) - 1

    def advance(self, run: Run | None = None) -> bool:
        """Advance the oldest active run by one event; return False without one."""
        active = [one for one in self.runs if one.is_active]
        run = run or (active[0] if active else None)
        if run is None or not run.is_active:
            return False
        next(run.events, None)
        return True

    def finish(self) -> None:
        while self.advance():
            pass

    def cancel(self, run: Run) -> None:
        if run.is_active:
            run.events = iter(())
            run.end(CANCELLED)

    def _play(self, run: Run) -> Iterator[None]:
        run.status = RUNNING
        for index, name in enumerate(("Clone git repository", "Create profile"), 1):
            run.steps.append(Step(index, name, status=SUCCESS))
        commands = ["dbt deps", *run.commands]
        for index, command in enumerate(commands, 3):
            step = Step(index, f"Invoke dbt with `{command}`", command)
            run.steps.append(step)
            yield
            is_good = yield from self._perform(run, step, is_retry=bool(run.retries) and index == 4)
            step.status = SUCCESS if is_good else ERROR
            if not is_good:
                run.end(ERROR)
                return
        run.end(SUCCESS)

    def _perform(self, run: Run, step: Step, is_retry: bool) -> Generator[None, None, bool]:
        step.artifact = next((one.artifact for one in run.steps[-2::-1] if one.artifact), None)
        verb = verb_of(step.command)
        if verb not in KINDS:
            is_good = self.choose_command(step.command)
            if verb == "source":
                step.lines += [self.freshness.format(node.label) for node in self.nodes]
            if verb == "docs" and is_good:
                self._leave(step, "generate", dict.fromkeys(self._chosen("dbt build"), "success"))
            return is_good
        if not self.choose_command(step.command):  # it cannot parse the project
            return False
        unique_ids = self._unfinished(run) if is_retry else self._chosen(step.command)
        failed: set[str] = set()
        untrusted: set[str] = set()
        for node in (one for one in self.nodes if one.unique_id in unique_ids):
            step.lines.append(self._line(node, "started"))
            yield
            blocking = failed if node.is_test else failed | untrusted
            is_blocked = not blocking.isdisjoint(node.parents)
            status = "skipped" if is_blocked else self.choose(node, run)
            if status not in GOOD and not node.is_test:
                failed.add(node.unique_id)
            elif status not in GOOD and verb == "build":
                untrusted |= {*node.parents}
            step.results[node.unique_id] = status
            step.lines.append(self._line(node, self.logged.get(node.unique_id, status)))
            yield
        self._leave(step, verb, step.results | self.hooks)
        return GOOD.issuperset([*step.results.values(), *self.hooks.values()])

    def _unfinished(self, run: Run) -> set[str]:
        assert run.retries
        failed = run.retries.failed_step
        assert failed
        return {key for key, status in failed.results.items() if status not in GOOD}

    def lost_by(self, run: Run) -> set[str]:
        """Return the nodes that may have been lost by a command that ended before its first node.

        For Airflow these are all without a result, since it does not know the nodes of a tag.
        """
        step = run.failed_step
        if step is None or step.results or verb_of(step.command) not in KINDS:
            return set()
        found = {key for one in run.steps for key in one.results}
        return self._chosen(f"dbt {verb_of(step.command)}") - found

    def _leave(self, step: Step, which: str, results: dict[str, str]) -> None:
        left = {key: status for key, status in results.items() if key not in self.lost}
        fields = {"message": self.message}
        about = [fields | {"unique_id": key, "status": one} for key, one in left.items()]
        step.artifact = {
            "metadata": {"invocation_id": f"{id(self)}/{id(step)}"},
            "args": {"which": which},
            "results": about,
        }

    def _chosen(self, command: str) -> set[str]:
        """Return the nodes that the command selects, with their tests."""
        kinds, words = KINDS[verb_of(command)], selection_of(command)
        named = {one.unique_id for one in self.nodes if self._is_named(one, words)}
        tests = {
            one.unique_id for one in self.nodes if one.is_test and not named.isdisjoint(one.parents)
        }
        return {key for key in named | tests if key.partition(".")[0] in kinds}

    def _is_named(self, node: Node, words: list[str] | None) -> bool:
        if words is None:
            return True
        for word in words:
            if word == selector(node.unique_id):
                return True
            method, _, value = word.rpartition(":")
            name = value.strip("+")
            if method == "tag" and value in node.tags:
                return True
            if method != "tag" and name in (node.name, *node.folder.split("/")):
                return True
            if value.endswith("+") and self._comes_after(node, name):
                return True
        return False

    def _comes_after(self, node: Node, name: str) -> bool:
        parents = [one for one in self.nodes if one.unique_id in node.parents]
        return any(one.name == name or self._comes_after(one, name) for one in parents)

    def _line(self, node: Node, status: str) -> str:
        if self.grammar == "unknown":
            return f"{node.label} -> {status}"
        if self.grammar == "fusion":
            word = {"error": "Failed", "fail": "Failed", "success": "Succeeded", "pass": "Passed"}
            word |= {"warn": "Warned", "partial success": "Failed"}
            shown = word.get(status, status.capitalize())
            return f" {shown} [  0.10s] {node.kind}  {node.label}"
        if status == "started":
            return f"12:00:00  1 of 9 START {node.kind} {node.label} ..... [RUN]"
        text = CORE.get(f"{status} {node.kind}") or CORE[status]
        ending = {"skipped": "SKIP"}.get(status, f"{status.upper()} in 0.10s")
        return f"12:00:00  1 of 9 {text.format(node.label)} ..... [{ending}]"

    # Responses

    def respond(self, method: str, path: str, params: dict[str, Any], body: Any) -> tuple[int, Any]:
        """Return status and content of a response; ``path`` is relative to the account."""
        parts = path.strip("/").split("/")
        if parts[0] == "jobs" and method == "POST":
            run = self.start(body.get("steps_override"), body["cause"])
            return 201, {"data": self._payload(run)}
        if parts == ["runs"]:
            return 200, {"data": self._listed(params)}
        found = [one for one in self.runs if str(one.id) == parts[1]]
        if not found:
            return refusal(404)
        (run,) = found
        if "artifacts" in parts:
            return self._artifact(run, parts[-1], int(params.get("step", 0)))
        if parts[-1] == "cancel":
            self.cancel(run)
        if parts[-1] == "retry":
            if self.reason(run):
                return refusal(400)
            return 200, {"data": self._payload(self.retry(run))}
        return 200, {"data": self._payload(run)}

    def _artifact(self, run: Run, name: str, index: int) -> tuple[int, Any]:
        if self.refused:
            return refusal(self.refused)
        step = next((one for one in run.steps if one.index == index), None)
        is_there = step and step.artifact and step.status in (SUCCESS, ERROR)
        if step and is_there and name == "manifest.json":
            return 200, self._manifest()
        is_there = is_there and name == "run_results.json"
        return (200, step.artifact) if step and is_there else refusal(404)

    def _manifest(self) -> dict[str, Any]:
        about = {
            node.unique_id: {
                "name": node.name,
                "schema": "analytics",
                "depends_on": {"nodes": list(node.parents)},
            }
            for node in self.nodes
        }
        return {"nodes": about}

    def _listed(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        newest = [one for one in reversed(self.runs) if one.id > int(params.get("id__gt", 0))]
        start = int(params.get("offset", 0))
        return [self._payload(one) for one in newest[start : start + int(params["limit"])]]

    def reason(self, run: Run) -> str | None:
        if run.status != ERROR:
            return "RETRY_NOT_FAILED_RUN"
        if run is not self.runs[-1]:
            return "RETRY_NOT_LATEST_RUN"
        step = run.failed_step
        return None if step and step.index > 3 and step.results else "RETRY_NO_RUN_RESULTS"

    def _payload(self, run: Run) -> dict[str, Any]:
        trigger = {"cause": run.cause, "steps_override": run.steps_override}
        reason = self.reason(run)
        return {
            "id": run.id,
            "status": run.status,
            "job_definition_id": JOB,
            "project_id": 1,
            "has_docs_generated": False,
            "href": f"https://dbt/runs/{run.id}/",
            "created_at": run.created_at.strftime("%Y-%m-%d %H:%M:%S.%f+00:00"),
            "status_message": {ERROR: "dbt command failed", CANCELLED: "Cancelled by user."}.get(
                run.status
            ),
            "status_humanized": {SUCCESS: "Success", ERROR: "Error"}.get(run.status, "Other"),
            "retrying_run_id": run.retries.id if run.retries and self.has_retried_run else None,
            "deferring_run_id": None,
            "git_sha": None,
            "can_retry": reason is None,
            "retry_not_supported_reason": reason,
            "trigger": trigger | {"cause_category": "rerun" if run.retries else "api"},
            "job": {"execute_steps": self.job_steps},
            "run_steps": [
                {
                    "index": step.index,
                    "name": step.name,
                    "status": step.status,
                    "logs": "\n".join(step.lines),
                    "debug_logs": "",
                }
                for step in run.steps
            ],
        }


class ScriptedAsyncClient:
    """The triggerer's client."""

    def __init__(self, dbt_cloud: ScriptedDbtCloud) -> None:
        self.dbt_cloud = dbt_cloud

    async def get(self, path: str, **params: Any) -> Any:
        if self.dbt_cloud.is_down:
            raise NoAnswerError("dbt Cloud returned 503")
        status, content = self.dbt_cloud.respond("GET", path, params, None)
        return read_data(path, status, {}, json.dumps(content).encode())

    async def cancel(self, run_id: int) -> None:
        self.dbt_cloud.cancel(self.dbt_cloud.runs[run_id - 1])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def refusal(status: int) -> tuple[int, Any]:
    return status, {"status": {"code": status, "user_message": "Refused."}, "data": None}


def in_turn(unique_id: str, *statuses: str) -> Callable[[Node, Run], str]:
    """Return a chooser with a node's statuses in order; all others are good."""
    left = list(statuses)

    def choose(node: Node, run: Run) -> str:
        is_it = node.unique_id == unique_id and left
        return left.pop(0) if is_it else good_status(node)

    return choose


def build_only(*unique_ids: str) -> str:
    """Return the command that builds these nodes and no others."""
    return shlex.join(["dbt", "build", "--select", *map(selector, unique_ids)])


def good_status(node: Node) -> str:
    return "pass" if node.is_test else "success"


def verb_of(command: str) -> str:
    return next(word for word in shlex.split(command)[1:] if not word.startswith("-"))


def selection_of(command: str) -> list[str] | None:
    words = shlex.split(command)
    return words[words.index("--select") + 1 :] if "--select" in words else None


def serve(monkeypatch: pytest.MonkeyPatch, dbt_cloud: Callable[[], ScriptedDbtCloud]) -> None:
    """Serve all calls of the connection ``dbt_cloud_default``."""

    def send(_adapter: Any, request: Any, **_: Any) -> requests.Response:
        address = urlsplit(request.url)
        path = address.path.partition(f"/accounts/{ACCOUNT}/")[2]
        body = json.loads(request.body) if request.body else None
        params = dict(parse_qsl(address.query))
        response = requests.Response()
        dies, dbt_cloud().dies = dbt_cloud().dies, ""
        if dies == "before":
            raise WorkerDiedError
        response.status_code, content = dbt_cloud().respond(request.method, path, params, body)
        if dies == "after":
            raise WorkerDiedError
        response._content = json.dumps(content).encode()
        response.request, response.url = request, request.url
        return response

    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", json.dumps(CONNECTION))
    monkeypatch.setattr(HTTPAdapter, "send", send)
