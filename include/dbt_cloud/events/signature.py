"""Whether dbt Cloud has sent a webhook.

https://docs.getdbt.com/docs/deploy/webhooks#validate-a-webhook
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


def sign(secret: str, body: bytes) -> str:
    """The signature of a body, as its header ``Authorization`` has it."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """With one of the secrets; takes as long for a wrong signature as for a right one."""
    given = signature.encode()
    return any([hmac.compare_digest(sign(secret, body).encode(), given) for secret in secrets])
