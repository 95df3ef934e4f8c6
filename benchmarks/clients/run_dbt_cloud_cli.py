"""dbt-cloud-cli: ``dbt-cloud job run --wait``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.clients.measuring import ACCOUNT_ID, HOST, JOB_ID, TOKEN, measured

OPTIONS = {
    "--api-token": TOKEN,
    "--dbt-cloud-host": HOST,
    "--account-id": f"{ACCOUNT_ID}",
    "--job-id": f"{JOB_ID}",
    "--cause": "benchmark",
}
command = [str(Path(sys.executable).with_name("dbt-cloud")), "job", "run", "--wait"]
arguments = [word for option in OPTIONS.items() for word in option]

with measured():
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
