"""The pieces of code in the pages: they parse, Python runs, and settings are Airflow's own."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cosmos.settings
import pytest
import yaml
from airflow.configuration import conf
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

from tests.docs.test_words import PAGES, PROJECT

FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
PIECES = [
    pytest.param(
        language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE), id=f"{page.name}-{n}"
    )
    for page in PAGES
    for n, (indent, language, text) in enumerate(FENCE.findall(page.read_text()), 1)
]
SETTING = re.compile(r"AIRFLOW__([A-Z_]+?)__([A-Z_0-9]+)")
OURS = [PROJECT / name for name in (".env.example", "docker-compose.override.yml")]
SKILL = PROJECT / "skills" / "running-dbt-cloud-from-airflow" / "SKILL.md"
DOCKERFILE = ("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "WORKDIR")


@pytest.mark.parametrize(("language", "text"), PIECES)
def test_a_piece_of_code_parses(language: str, text: str) -> None:
    parse: dict[str, Callable[[str], Any]] = {
        "bash": parse_bash,
        "dockerfile": parse_dockerfile,
        "json": json.loads,
        "mermaid": lambda text: text,
        "python": run_python,
        "sql": lambda text: text,
        "text": parse_settings,
        "toml": tomllib.loads,
        "yaml": lambda text: list(yaml.safe_load_all(text)),
    }
    assert language in parse, f"{language} is checked by nothing"
    assert parse[language](text) is not False


def parse_bash(text: str) -> bool:
    shell = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
    return shell.returncode == 0 and not shell.stderr


def parse_dockerfile(text: str) -> bool:
    lines = text.replace("\\\n", " ").splitlines()
    return all(line.split()[0] in DOCKERFILE for line in lines if line and line[0] != "#")


def parse_settings(text: str) -> None:
    """As `.env` has them: JSON where a value looks like it, on one line."""
    for line in text.splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and re.fullmatch("[A-Z_]+", name) and value.startswith("{"):
            json.loads(value)


def run_python(text: str) -> None:
    """Create the Dags of the block, so that each import and argument is checked."""
    exec(compile(ast.parse(text), "page", "exec"), {"__name__": "page"})


@pytest.mark.parametrize("page", [*PAGES, *OURS], ids=lambda page: str(page.name))
def test_airflow_settings_in_a_page_exist(page: Path) -> None:
    for section, key in SETTING.findall(page.read_text()):
        options = conf.configuration_description.get(section.lower(), {}).get("options", {})
        is_cosmos_s = section == "COSMOS" and hasattr(cosmos.settings, key.lower())
        assert key.lower() in options or is_cosmos_s, f"AIRFLOW__{section}__{key}"


def test_skill_lists_only_arguments_of_the_operator() -> None:
    table = SKILL.read_text().partition("| argument |")[2].partition("\n\n")[0]
    arguments = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    values: dict[str, Any] = dict.fromkeys(arguments) | {"deferrable": False}
    task = DbtCloudRunJobOperator(task_id="task", job_id=1, **values)

    assert len(arguments) == 8
    assert all(hasattr(task, argument) for argument in arguments)


def test_skill_has_a_valid_name_and_description() -> None:
    """A folder in `skills/`, and by what an agent finds it: what it does, and when to use it."""
    _, facts, text = SKILL.read_text().split("---\n", 2)
    known = yaml.safe_load(facts)

    assert set(known) == {"name", "description"}
    assert known["name"] == SKILL.parent.name
    assert re.match(r"[A-Z]\w+s .+?\. Use when ", known["description"])
    assert len(known["description"]) <= 1024
    assert text.lstrip().startswith("# ")


@pytest.mark.parametrize("page", [SKILL, PROJECT / "AGENTS.md"], ids=lambda page: page.name)
def test_paths_in_agent_instructions_exist(page: Path) -> None:
    paths = set(re.findall(r"(?:`|pytest )((?:dags|docs|include|tests)/[\w/.]+)", page.read_text()))

    assert paths
    for path in paths - {"dags/VERB_PHRASE.py", "include/.local/"}:
        assert (PROJECT / path).exists(), path
