"""Choose the database of the page's tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Use one database for tests in Chromium: what the page looks like does not depend on it."""
    items[:] = [item for item in items if not is_in_chromium_again(item)]


def is_in_chromium_again(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return {"page", "database_url"} <= {*names} and "postgresql" in item.name
