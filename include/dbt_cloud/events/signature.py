"""Validate the signature of a webhook.

https://docs.getdbt.com/docs/deploy/webhooks#validate-a-webhook
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


def sign(secret: str, body: bytes) -> str:
    """Return the signature of a body, as in the header ``Authorization``."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """Return whether the body is signed with one of the secrets, in constant time."""
    given = signature.encode()
    return any([hmac.compare_digest(sign(secret, body).encode(), given) for secret in secrets])
