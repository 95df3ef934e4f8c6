"""Select an asset's runs by its URI.

``dbt-cloud://CONN_ID/jobs/65767`` selects the runs of a job,
``dbt-cloud://CONN_ID/runs?project_id=36467`` the matching runs of the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ..api.text import storable
from .finished_run import FinishedRun

SCHEME = "dbt-cloud"


@dataclass(frozen=True)
class RunFilter:
    """The conditions for an asset's runs; None matches any value."""

    job_id: int | None = None
    project_id: int | None = None
    environment_id: int | None = None
    job_name: str | None = None

    @classmethod
    def of_uri(cls, uri: str) -> RunFilter:
        split = urlsplit(uri)
        if split.path.startswith("/jobs/"):
            return cls(job_id=int(split.path.removeprefix("/jobs/")))
        query = dict(parse_qsl(split.query))
        ids = {name: int(query[name]) for name in ("project_id", "environment_id") if name in query}
        job_name = query.get("job_name")
        return cls(**ids, job_name=None if job_name is None else storable(job_name))

    def fits(self, run: FinishedRun) -> bool:
        required = (self.job_id, self.project_id, self.environment_id, self.job_name)
        found = (run.job_id, run.project_id, run.environment_id, run.job_name)
        return all(one in (None, other) for one, other in zip(required, found, strict=True))


def prefix_of(conn_id: str) -> str:
    """Return the common prefix of the URIs of one connection's assets."""
    return f"{SCHEME}://{quote(conn_id, safe='')}/"


def conn_id_of(uri: str) -> str:
    return unquote(urlsplit(uri).netloc)
