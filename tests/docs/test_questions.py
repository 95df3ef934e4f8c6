"""docs/questions.md: each question has a short answer with a link, and its names exist."""

from __future__ import annotations

import inspect
import re

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator
from tests.docs.test_words import PROJECT

PAGE = (PROJECT / "docs" / "questions.md").read_text()
SECTIONS = [section.partition("\n") for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]
ANSWERS = {
    question: re.split(r"^## ", answer, flags=re.MULTILINE)[0] for question, _, answer in SECTIONS
}


def test_page_answers_the_eight_questions_of_the_guide() -> None:
    section = PAGE.partition("## The questions of dbt's guide")[2].partition("\n## ")[0]

    assert len(re.findall(r"^### .+\?$", section, re.MULTILINE)) == 8


@pytest.mark.parametrize("question", ANSWERS)
def test_answer_has_a_link_and_no_more_than_two_sentences_per_paragraph(question: str) -> None:
    text = re.sub(r"```.*?```", "", ANSWERS[question], flags=re.DOTALL)
    paragraphs = [each for each in text.strip().split("\n\n") if not each.startswith("|")]

    assert re.search(r"\]\([\w./]+(#[\w-]+)?\)", text)
    for paragraph in paragraphs:
        assert len(re.findall(r"[.?!](?= [A-Z`\[])", paragraph)) <= 2, paragraph


@pytest.mark.parametrize("operator", [DbtCloudRunJobOperator, DbtCloudRunJobExactlyOnceOperator])
def test_both_operators_push_the_listed_xcoms(operator: type[DbtCloudRunJobOperator]) -> None:
    listed = set(re.findall(r"^\| (?:run id|URL) \| `(\w+)`", PAGE, re.MULTILINE))
    pushed = set(re.findall(r'xcom_push\(key="(\w+)"', inspect.getsource(operator.execute)))

    assert listed == pushed | {"return_value"}


def test_arguments_beside_the_body_of_curl_exist() -> None:
    rows = re.findall(
        r"^\| (.+) \| .*`(\w+)` \|$", PAGE.partition("in the body of")[2], re.MULTILINE
    )
    body = inspect.getsource(DbtCloudHook.trigger_job_run)

    assert len(rows) == 4
    for key, argument in rows:
        assert argument in inspect.signature(DbtCloudRunJobOperator).parameters
        assert f'"{key.strip("`")}":' in body or argument == "additional_run_config"
