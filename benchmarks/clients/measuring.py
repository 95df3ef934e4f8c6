"""The dbt Cloud that a client calls, and how its script reports time and error."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

HOST = os.environ.get("DBT_CLOUD_HOST", "")
TOKEN = os.environ.get("DBT_CLOUD_TOKEN", "")
ACCOUNT_ID = int(os.environ.get("DBT_CLOUD_ACCOUNT_ID", 0))
JOB_ID = int(os.environ.get("DBT_CLOUD_JOB_ID", 0))
POLL_SECONDS = 1
SUCCESS = 10


@contextmanager
def measured() -> Iterator[None]:
    """Print the block's seconds, and the last line of its error, as JSON."""
    began, error = time.monotonic(), ""
    try:
        yield
    except SystemExit as failure:  # a script's own message
        lines = f"{failure}".splitlines()
        error = next((line for line in reversed(lines) if line.strip()), "failed")
    except Exception as failure:
        lines = f"{type(failure).__name__}: {failure}".strip().splitlines()
        error = next((line for line in reversed(lines) if line.strip()), "")
    print(json.dumps({"seconds": time.monotonic() - began, "error": error}), flush=True)
