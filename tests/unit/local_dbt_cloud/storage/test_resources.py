from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from include.local_dbt_cloud.storage.resources import (
    CONNECTION_ID,
    add_resource,
    exists,
    extended_attributes_of,
    make_public_key,
)
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import (
    DELETED_STATE,
    EnvironmentRow,
    ResourceRow,
)

ACCOUNT, PROJECT, PRODUCTION = 16173, 36467, 29118


def add(session: Session, kind: str, **definition: Any) -> ResourceRow:
    row = ResourceRow(account_id=ACCOUNT, project_id=PROJECT, kind=kind, definition=definition)
    add_resource(session, row)
    session.flush()
    return row


def attributes(session: Session, **changes: int | None) -> dict[str, Any]:
    """Return the extended attributes of production with other ids."""
    environment = session.get_one(EnvironmentRow, PRODUCTION)
    environment.definition = environment.definition | changes
    return extended_attributes_of(session, environment)


def test_extended_attributes_are_those_of_the_environment_or_of_its_profile(store: Store) -> None:
    with store.write() as session:
        own = add(session, "extended_attributes", extended_attributes={"threads": 1})
        other = add(session, "extended_attributes", extended_attributes={"threads": 2})
        profile = add(session, "profile", extended_attributes_id=other.id)
        plain = add(session, "profile", extended_attributes_id=None)

        assert attributes(session) == {}
        assert attributes(session, extended_attributes_id=own.id) == {"threads": 1}
        assert attributes(session, primary_profile_id=profile.id) == {"threads": 2}
        assert attributes(session, primary_profile_id=plain.id) == {}
        other.state = DELETED_STATE
        assert attributes(session, primary_profile_id=profile.id) == {}
        assert attributes(session, primary_profile_id=None) == {"threads": 1}


@pytest.mark.parametrize(
    ("kind", "resource_id", "found"),
    [
        ("connection", CONNECTION_ID, True),
        ("group", CONNECTION_ID, False),
        ("connection", None, False),
        ("project", PROJECT, True),
        ("environment", PRODUCTION, True),
        ("environment", PROJECT, False),
    ],
)
def test_exists_depends_on_the_kind(
    store: Store, kind: str, resource_id: int | None, found: bool
) -> None:
    with store.read() as session:
        assert exists(session, kind, resource_id, PROJECT) is found


def test_exists_only_in_the_own_project(store: Store) -> None:
    with store.write() as session:
        row = add(session, "profile", key="production")

        assert exists(session, "profile", row.id, PROJECT)
        assert exists(session, "profile", row.id, None)
        assert not exists(session, "profile", row.id, PROJECT + 1)
        assert not exists(session, "environment", PRODUCTION, PROJECT + 1)


def test_public_keys_are_new_each_time() -> None:
    first, second = make_public_key(), make_public_key()
    assert first.startswith("ssh-ed25519 ")
    assert first != second
