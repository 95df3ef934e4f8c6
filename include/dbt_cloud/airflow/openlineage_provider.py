"""All imports from the optional package ``apache-airflow-providers-openlineage``.

They take a second, so they run only if OpenLineage is installed and configured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import RunEvent

SECONDS = 3.0  # for a server to respond at all


class UnreachableError(Exception):
    """The OpenLineage server does not respond."""


def is_active() -> bool:
    """Return whether the provider is installed, has a transport and is not disabled."""
    try:
        from airflow.providers.openlineage import conf

        return not conf.is_disabled()
    except (ImportError, ValueError):  # not installed; an invalid setting, which Airflow reports
        return False


def job_namespace() -> str:
    """Return the namespace of all jobs, ``[openlineage] namespace``."""
    from airflow.providers.openlineage import conf

    namespace: str = conf.namespace()
    return namespace


def parent_of(task_instance: Any) -> dict[str, Any]:
    """Return the fields of ``ParentRunMetadata`` of a task: its run and job, and its Dag run's."""
    import attrs
    from airflow.providers.dbt.cloud.utils.openlineage import _get_parent_run_metadata

    metadata = _get_parent_run_metadata(task_instance)  # type: ignore[no-untyped-call]  # of 4.11
    return attrs.asdict(metadata)


def without_datasets() -> OperatorLineage[Any, Any]:
    """Return the result of an operator's or extractor's method that adds nothing to its task."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage()


def check_server() -> None:
    """Raise ``UnreachableError`` if the server of an ``http`` transport does not respond.

    Otherwise each event would be retried for some ten seconds.
    """
    from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

    client = get_openlineage_listener().adapter.get_or_create_openlineage_client()
    url = getattr(client.transport, "url", None)
    if not isinstance(url, str):
        return
    try:
        requests.head(url, timeout=SECONDS)
    except requests.exceptions.SSLError:
        return  # it responds, and the transport has its own certificates
    except requests.RequestException as error:
        server = urlsplit(url)  # without its path and password
        raise UnreachableError(
            f"the OpenLineage server {server.hostname}:{server.port or server.scheme} does not "
            f"respond ({type(error).__name__})"
        ) from None


def send(events: Iterable[RunEvent]) -> None:
    """Send events, with Airflow's secrets masked; raise the transport's error."""
    from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

    # `adapter.emit` logs each failure and continues with the next event.
    adapter = get_openlineage_listener().adapter
    client = adapter.get_or_create_openlineage_client()
    for event in events:
        client.emit(adapter._redacter.redact(event, max_depth=20))
