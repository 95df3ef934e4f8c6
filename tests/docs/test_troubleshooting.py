"""docs/troubleshooting.md has each sentence of error, and no other."""

from __future__ import annotations

import re

import pytest

from tests.docs.error_sentences import FOLDERS, PROJECT, sentences

TEXT = (PROJECT / "docs" / "troubleshooting.md").read_text()
BY_SYMPTOM, FIRST_OF_OURS, NOT_OURS = (
    "## By symptom",
    "## make: install",
    "## Not ours, and often met",
)
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(TEXT.partition(FIRST_OF_OURS)[2].partition(NOT_OURS)[0])
SYMPTOMS = ROW.findall(TEXT.partition(FIRST_OF_OURS)[0])[1:]
LISTED = [text for said, _ in ROWS for text in said.split("<br>") if said != "what is printed"]


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """Each sentence, and the file that has it."""
    return sentences()


def test_sentences_finds_every_kind_of_error_message(said: dict[str, str]) -> None:
    """An exception's, one that a function returns, the Makefile's, and those that are carried."""
    assert len(said) > 200
    assert said["The disk is full: free about 2 GB, then run the command again."]
    assert said["Run … cannot be retried: …."] == "include/local_dbt_cloud/api/handlers/runs.py"
    assert said["There are no logs yet: make start writes them."] == "Makefile"
    assert said["The connection … is nowhere."]  # an argument of a Finding
    assert any(text.startswith("Airflow has no connection …") for text in said)  # returned
    assert any(text.startswith("dbt Cloud does not know the token") for text in said)


def test_page_has_each_sentence(said: dict[str, str]) -> None:
    missing = {sentence: file for sentence, file in said.items() if sentence not in LISTED}

    assert missing == {}, "add them to docs/troubleshooting.md"


def test_page_lists_no_removed_error_message(said: dict[str, str]) -> None:
    files = [file for folder in FOLDERS for file in (PROJECT / folder).rglob("*.py")]
    code = "".join(file.read_text() for file in files if ".local" not in file.parts)
    code = re.sub(r'"\s+f?"', "", code)  # sentences that go on in a next line
    for sentence in set(LISTED) - said.keys():
        pieces = re.split("…", sentence.replace('"', r"\""))
        assert all(piece.strip(" :.") in code for piece in pieces), sentence


def test_each_error_message_has_its_own_advice() -> None:
    advices = [advice for said, advice in ROWS if said != "what is printed"]

    assert len(LISTED) == len(set(LISTED))
    assert len(advices) == len(set(advices))


def test_symptoms_are_the_first_section_and_the_only_one_before_the_messages() -> None:
    headings = re.findall(r"^## .+$", TEXT, re.MULTILINE)

    assert headings[:2] == [BY_SYMPTOM, FIRST_OF_OURS]
    assert headings[-1] == NOT_OURS


def test_each_symptom_is_listed_once_and_links_to_the_rest() -> None:
    assert len(SYMPTOMS) >= 20
    assert len({symptom for symptom, _ in SYMPTOMS}) == len(SYMPTOMS)
    for symptom, advice in SYMPTOMS:
        assert re.search(r"\]\([\w.]*(#[\w-]+|\.md)\)", advice), symptom
