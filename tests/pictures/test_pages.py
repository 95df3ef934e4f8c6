"""The pictures of the documentation are valid images, and small enough to load quickly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.project import CHECKOUT

MAX_BYTES = 1_000_000
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
SHOWN = sorted(
    {
        (page.parent / target).relative_to(CHECKOUT)
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page.read_text())
        if not target.startswith(("http://", "https://"))
    }
)


@pytest.mark.parametrize("picture", SHOWN, ids=lambda picture: picture.name)
def test_picture_of_a_page_is_an_image_of_at_most_max_bytes(picture: Path) -> None:
    file = CHECKOUT / picture

    assert file.stat().st_size <= MAX_BYTES
    with Image.open(file) as image:
        image.load()
        assert image.format == file.suffix[1:].upper()
        assert getattr(image, "is_animated", False) == (file.suffix == ".webp")
