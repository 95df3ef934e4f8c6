"""The accounts whose webhooks are received, each with its own secret.

A webhook contains the id of its account, but not its host, so its signature selects the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from cachetools import TTLCache, cached
from sqlalchemy import select

from ..airflow.compat import AirflowNotFoundException
from ..airflow.server import AssetModel, Connection, create_session
from ..api.accounts import Account
from .assets import CONN_ID
from .run_filter import SCHEME, conn_id_of
from .signature import is_signed

WEBHOOKS = "dbt_cloud_webhooks"  # the connection with the secret of one account
SECRET = "webhook_secret"  # in the extra of a connection to dbt Cloud: the secret of its account
DEFAULT_HOST = "cloud.getdbt.com"  # the provider's default
SETUP_SECONDS = 5.0  # until a changed connection is read


class RefusedError(Exception):
    """A webhook is refused, with the response's status and reason; ``details`` are only logged."""

    def __init__(self, status: int, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.details = details


@dataclass(frozen=True)
class Sender:
    """A connection to dbt Cloud, and the secrets of its account's webhooks."""

    conn_id: str
    account: Account
    pages_host: str
    secrets: list[str]

    def __str__(self) -> str:
        return f"{self.conn_id} ({self.account})"


@dataclass(frozen=True)
class Setup:
    """The usable connections, and what is wrong with the others."""

    senders: list[Sender]
    problems: list[str]


@cached(TTLCache(maxsize=1, ttl=SETUP_SECONDS), lock=Lock())
def read_setup() -> Setup:
    """Read the connections that assets name, and ``WEBHOOKS``, which is optional."""
    with create_session() as session:
        uris = session.scalars(
            select(AssetModel.uri)
            .where(AssetModel.uri.startswith(f"{SCHEME}://"), AssetModel.active.has())
            .distinct()
        ).all()
    conn_ids = {conn_id_of(uri) for uri in uris}
    senders, problems = [], []
    webhooks, described = None, ""
    try:
        webhooks, described = read_webhooks()
        conn_ids.add(described)
    except RefusedError as error:
        problems.append(f"{error}")
    for conn_id in sorted(conn_ids):
        try:
            senders.append(read_sender(conn_id, webhooks if conn_id == described else None))
        except RefusedError as error:
            problems.append(f"{error}")
    return Setup(senders, problems)


def read_webhooks() -> tuple[Connection, str]:
    """Return the connection ``WEBHOOKS``, and the dbt Cloud connection of its secret."""
    webhooks = connection(WEBHOOKS)
    extra = webhooks.extra_dejson
    conn_id = extra.get("dbt_cloud_conn_id", CONN_ID) if isinstance(extra, dict) else None
    if not isinstance(conn_id, str):
        example = f'{{"dbt_cloud_conn_id": "{CONN_ID}"}}'
        raise RefusedError(
            503, f"Could not read a connection id from the extra of {WEBHOOKS}: write {example}."
        )
    if not (webhooks.password or "").split():
        raise RefusedError(503, f"The connection {WEBHOOKS} has no password: set the secret.")
    return webhooks, conn_id


def read_sender(conn_id: str, webhooks: Connection | None) -> Sender:
    """Return a connection with the secrets of its extra, and those of ``webhooks``."""
    dbt_cloud = connection(conn_id)
    extra = dbt_cloud.extra_dejson
    own = extra.get(SECRET) or "" if isinstance(extra, dict) else ""
    if not isinstance(own, str):
        raise RefusedError(
            503, f'Could not read {SECRET} from the extra of {conn_id}: write {{"{SECRET}": "…"}}.'
        )
    if not dbt_cloud.login:
        raise RefusedError(503, f"The connection {conn_id} has no login: set the account id.")
    try:
        account = Account.at(f"https://{dbt_cloud.host or DEFAULT_HOST}/", int(dbt_cloud.login))
    except ValueError:
        raise RefusedError(
            503, f"The host or login of {conn_id} is invalid: set a host name and the account id."
        ) from None
    pages_host = (webhooks and webhooks.host) or account.host
    secrets = f"{(webhooks and webhooks.password) or ''} {own}".split()
    return Sender(conn_id, account, pages_host, secrets)


def signers_of(body: bytes, signature: str, setup: Setup) -> list[Sender]:
    """Return the connections with the secret that signs the body."""
    if not any(sender.secrets for sender in setup.senders):
        problems = setup.problems or [f"No connection has a {SECRET} in its extra."]
        raise RefusedError(503, " ".join(problems))
    signers = [one for one in setup.senders if is_signed(body, signature, one.secrets)]
    if not signers:
        known = ", ".join(f"{sender}" for sender in setup.senders if sender.secrets)
        details = " ".join([f"Secrets are set for {known}.", *setup.problems])
        raise RefusedError(401, "The signature does not match any secret.", details)
    return signers


def sender_of(account_id: int, signers: list[Sender]) -> Sender:
    """Return the connection to the webhook's account, whose secret signs the webhook."""
    senders = [one for one in signers if one.account.id == account_id]
    if not senders:
        ours = ", ".join(f"{signer}" for signer in signers)
        reason = f"The webhook is for account {account_id}, but its secret is set for {ours}."
        raise RefusedError(403, reason)
    if len({sender.account for sender in senders}) > 1:
        ours = " and ".join(f"{sender}" for sender in senders)
        reason = f"One secret is set for {ours}, and a webhook does not contain its host: "
        raise RefusedError(503, f"{reason}set the secret only for the account that sends it.")
    return senders[0]


def connection(conn_id: str) -> Connection:
    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:  # also for a malformed one, or an unavailable database
        reason = f"Airflow has no usable connection {conn_id}, or its database is unavailable."
        raise RefusedError(503, reason) from None
