"""What the schemas of stored resources share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session

from ..storage.schemas import Id, Schema
from ..storage.tables import ResourceRow

SECRET_NAME = re.compile(r"(password|passphrase|secret|token|private_key|access_key)$")
LONG = 65536  # characters

# Checked and then dropped, because nothing here uses a secret: what is not stored cannot leak.
Secret = Annotated[str | None, Field(max_length=LONG, exclude=True, repr=False)]
Text = Annotated[str, Field(max_length=LONG)]
Texts = Annotated[list[Text], Field(default_factory=list)]


@dataclass(frozen=True)
class Refers:
    """Marks a field with the id of another resource, which must exist."""

    kind: str


class Stored(Schema):
    """The body of a request; its dump without excluded fields is what the database stores."""

    account_id: Annotated[Id | None, Field(exclude=True)] = None
    state: Annotated[Literal[1, 2], Field(exclude=True)] = 1

    @classmethod
    def variant(cls, values: Mapping[str, Any]) -> type[Self]:
        """Return the schema for a body, if it depends on one of the fields."""
        return cls

    def definition(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)

    def made(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the server adds to the definition, which replaces the one before."""
        return {}

    @classmethod
    def shown(cls, session: Session, row: ResourceRow) -> dict[str, Any]:
        """Return what a response contains beside the stored fields."""
        return {}


class StoredInProject(Stored):
    """A resource of a project, whose id is in the URL, in the body, or in both."""

    project_id: Annotated[Id | None, Refers("project"), Field(exclude=True)] = None


def without_secrets(value: Any) -> Any:
    """Return a JSON value without the keys whose names are those of secrets."""
    if isinstance(value, list):
        return [without_secrets(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: without_secrets(inner)
        for name, inner in value.items()
        if not SECRET_NAME.search(name)
    }


Settings = Annotated[dict[str, Any], AfterValidator(without_secrets), Field(default_factory=dict)]
