"""What docs/ci_cd.md says of the workflows is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.docs.ci_cd_page import PAGE, PROJECT, check_workflow, filled_in, pieces, workflow

if not (PROJECT / ".git").exists():
    pytest.skip("the image has no workflows", allow_module_level=True)

WORKFLOWS = PROJECT / ".github" / "workflows"
DAG = (PROJECT / "dags" / "check_dbt_pull_request.py").read_text()
BODY = {
    "github_event_number": "7",
    "github_event_pull_request_head_sha": "f" * 40,
    "toJSON_github_head_ref": json.dumps('it"s mine'),
    "github_event_action_closed": "false",
}


def test_page_lists_every_workflow_and_describes_ci_and_deploy() -> None:
    listed = re.findall(r"^\| \[`([\w.]+)`\]", PAGE, re.MULTILINE)

    assert sorted(listed) == sorted(path.name for path in WORKFLOWS.glob("*.yml"))
    ci = workflow((WORKFLOWS / "ci.yml").read_text())
    assert ci["on"] == {"pull_request": None, "push": {"branches": ["main"]}}
    *first, last = ci["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f"on Python {', '.join(first)} and {last}" in PAGE
    commands = re.findall(r"^make ([\w-]+)$", (PROJECT / ".ci" / "run").read_text(), re.M)
    assert commands == ["check", "test-all"]
    deploy = workflow((WORKFLOWS / "deploy.yml").read_text())
    assert deploy["on"] == {"workflow_dispatch": None}
    assert f"Actions → {deploy['name']} → Run workflow" in PAGE


def test_ci_matrix_has_every_group_of_slow_tests() -> None:
    jobs = workflow((WORKFLOWS / "ci.yml").read_text())["jobs"]
    files = [file.read_text() for file in (PROJECT / "tests").rglob("*.py")]
    named = {name for file in files for name in re.findall(r'mark.group\(name="([\w-]+)"', file)}

    assert sorted(jobs["slow"]["strategy"]["matrix"]["group"]) == ["", *sorted(named)]


@pytest.mark.parametrize(
    "file", sorted((PROJECT / "tests/e2e").glob("test_*.py")), ids=lambda file: file.stem
)
def test_end_to_end_test_file_declares_its_group(file: Path) -> None:
    assert re.search(r"^pytestmark = .*pytest\.mark\.group\(name=", file.read_text(), re.M)


def test_page_lists_exactly_the_secrets_and_variables_of_the_workflows() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (secret|variable) \|", PAGE, re.MULTILINE)

    texts = [path.read_text() for path in WORKFLOWS.glob("*.yml")]
    texts.append(yaml.safe_dump(check_workflow(), width=1000))
    used = set(re.findall(r"\$\{\{ (secrets|vars)\.(\w+) \}\}", "\n".join(texts)))
    kinds = {"secrets": "secret", "vars": "variable"}
    assert sorted(listed) == sorted((name, kinds[kind]) for kind, name in used)


def test_workflows_have_at_most_read_permission() -> None:
    template = PROJECT / "include/eject/templates/.github/workflows/ci.yml.template"
    files = [*WORKFLOWS.glob("*.yml"), template]
    for workflow_ in [check_workflow(), *(workflow(file.read_text()) for file in files)]:
        assert workflow_["permissions"] in ({}, {"contents": "read"}), workflow_["name"]


def test_dependabot_proposes_newer_actions() -> None:
    dependabot = yaml.safe_load((WORKFLOWS.parent / "dependabot.yml").read_text())
    [update] = dependabot["updates"]

    assert update["package-ecosystem"] == "github-actions"
    assert update["schedule"] == {"interval": "monthly"}


def test_every_yaml_piece_of_the_page_parses() -> None:
    assert all(isinstance(workflow(piece), dict) for piece in pieces("yaml"))


def test_workflow_body_matches_the_form_of_the_dag() -> None:
    job = check_workflow()["jobs"]["start"]
    body = json.loads(filled_in(job["env"]["BODY"], **BODY))
    params = re.findall(r'^    "(\w+)": Param\(', DAG, re.MULTILINE)

    assert list(body["conf"]) == params
    assert body["conf"]["branch"] == 'it"s mine'
    assert body["conf"]["closed"] is False
    assert check_workflow()["on"]["pull_request"]["types"][-1] == "closed"


def test_page_names_the_existing_job_and_macro() -> None:
    [job_id] = re.findall(r"^JOB_ID = (\d+)$", DAG, re.MULTILINE)
    jobs = (PROJECT / "include/local_dbt_cloud/jobs.yaml").read_text()
    job = next(job for job in yaml.safe_load(jobs)["jobs"] if job["id"] == int(job_id))

    assert f"Job {job_id} is made like that" in PAGE
    assert f"`{job['execute_steps'][0]}`" in PAGE
    macro = (PROJECT / "include/jaffle_shop/macros/drop_pull_request_schema.sql").read_text()
    [operation] = re.findall(r'"dbt run-operation (\w+)"', DAG)
    assert f"macro {operation}()" in macro
