"""The settings of both servers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from include.local_dbt_cloud.serving.connections import CENSUS, FIVETRAN


def _variable(name: str, default: str) -> str:
    return os.environ.get(name) or default


@dataclass(frozen=True)
class Settings:
    """The data folder, shared with the local dbt Cloud, and the accepted credentials."""

    data: Path
    fivetran_key: str = field(
        default_factory=lambda: _variable("LOCAL_FIVETRAN_KEY", FIVETRAN.login), repr=False
    )
    fivetran_secret: str = field(
        default_factory=lambda: _variable("LOCAL_FIVETRAN_SECRET", FIVETRAN.password), repr=False
    )
    census_token: str = field(
        default_factory=lambda: _variable("LOCAL_CENSUS_TOKEN", CENSUS.password), repr=False
    )

    @property
    def uses_default_credentials(self) -> bool:
        """Return whether a public default grants access."""
        return self.fivetran_secret == FIVETRAN.password or self.census_token == CENSUS.password

    @property
    def sent(self) -> Path:
        """Return the folder of the files that the local Census writes, one per sync run."""
        return self.data / "census"
