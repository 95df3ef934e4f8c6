"""docs/troubleshooting.md has each sentence of error, and no other."""

from __future__ import annotations

import re

import pytest

from tests.docs.error_sentences import FOLDERS, PROJECT, sentences

NOT_OURS = "## Not ours, and often met"
PAGE = (PROJECT / "docs" / "troubleshooting.md").read_text().partition(NOT_OURS)[0]
ROWS = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
LISTED = [text for said, _ in ROWS for text in said.split("<br>") if said != "what is printed"]
SENTENCES = sentences()


def test_the_sentences_are_found() -> None:
    """An exception's, one that a function returns, the Makefile's, and those that are carried."""
    assert len(SENTENCES) > 200
    assert SENTENCES["The disk is full: free about 2 GB, then run the command again."]
    assert (
        SENTENCES["Run … cannot be retried: …."] == "include/local_dbt_cloud/api/handlers/runs.py"
    )
    assert SENTENCES["There are no logs yet: make start writes them."] == "Makefile"
    assert SENTENCES["The connection … is nowhere."]  # an argument of a Finding
    assert SENTENCES["It has no password: put the service token there."]  # returned, then found
    assert any(text.startswith("dbt Cloud does not know the token") for text in SENTENCES)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_page_says_what_to_do_about(sentence: str) -> None:
    assert sentence in LISTED, f"{SENTENCES[sentence]} says it: add it to docs/troubleshooting.md"


def test_the_page_has_no_sentence_that_is_gone() -> None:
    files = [file for folder in FOLDERS for file in (PROJECT / folder).rglob("*.py")]
    code = "".join(file.read_text() for file in files if ".local" not in file.parts)
    code = re.sub(r'"\s+f?"', "", code)  # sentences that go on in a next line
    for sentence in set(LISTED) - SENTENCES.keys():
        pieces = re.split("…", sentence.replace('"', r"\""))
        assert all(piece.strip(" :.") in code for piece in pieces), sentence


def test_each_sentence_has_an_advice_of_its_own() -> None:
    advices = [advice for said, advice in ROWS if said != "what is printed"]

    assert len(LISTED) == len(set(LISTED))
    assert len(advices) == len(set(advices))
