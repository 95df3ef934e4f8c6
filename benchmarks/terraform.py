"""The acceptance tests of dbt Cloud's Terraform provider, against a local dbt Cloud.

Go and Terraform have to be installed, and the provider's repository checked out. The tests create
and delete resources; their results are counted by package, with the names of the failed ones.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.local_dbt_cloud.api.handlers.accounts import USER_ID
from include.local_dbt_cloud.api.handlers.users import EMAIL
from include.local_dbt_cloud.testing import LocalDbtCloud

TESTS = "^Test(Acc|DbtCloud)"
RESULTS = ("pass", "fail", "skip")
# The tests need these to be set, and send them to dbt Cloud only.
ANYTHING = (
    "AZURE_AD_CLIENT_ID",
    "AZURE_AD_ORG",
    "AZURE_AD_SECRET",
    "AZURE_AD_TENANT_ID",
    "DATABRICKS_CATALOG",
    "DATABRICKS_HOST",
    "DATABRICKS_HTTP_PATH",
    "DATABRICKS_TOKEN",
    "SNOWFLAKE_ACCOUNT",
    "SNOWFLAKE_DATABASE",
    "SNOWFLAKE_PASSWORD",
    "SNOWFLAKE_ROLE",
    "SNOWFLAKE_USER",
    "SNOWFLAKE_WAREHOUSE",
)


@dataclass
class Count:
    """The results of one package's tests."""

    package: str
    results: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        numbers = ", ".join(f"{self.results[name]} {name}" for name in RESULTS)
        return f"{self.package}: {numbers}{''.join(f'{chr(10)}    {name}' for name in self.failed)}"


def measure(provider: Path) -> Iterator[Count]:
    """Yield the count of each package, and the sum; ``provider`` is the checkout."""
    terraform = shutil.which("terraform")
    if terraform is None or shutil.which("go") is None:
        sys.exit("Install Go and Terraform: go and terraform must be on PATH.")
    with tempfile.TemporaryDirectory() as folder, LocalDbtCloud(Path(folder)) as server:
        total = Count("all packages")
        for count in counted(run_tests(provider, environment(server, terraform))):
            total.results += count.results
            yield count
        yield total


def environment(server: LocalDbtCloud, terraform: str) -> dict[str, str]:
    """Return the variables of the tests, after creating what they expect in an account."""
    groups = [created(server, "groups/", name=f"Group {number}") for number in range(3)]
    created(server, "assign-groups/", user_id=USER_ID, desired_group_ids=groups)
    project = created(server, "projects/", name="Semantic layer")
    homes = [environment_with_run(server, project, f"Environment {number}") for number in (1, 2)]
    values = {
        "CI": "",  # some tests are skipped in CI
        "TF_ACC": "1",
        "TF_ACC_TERRAFORM_PATH": terraform,
        "CHECKPOINT_DISABLE": "1",  # Terraform looks for no newer version of itself
        "SSL_CERT_FILE": str(server.data / "ca-bundle.pem"),
        "DBT_CLOUD_HOST_URL": f"{server.url}/api",
        "DBT_CLOUD_TOKEN": server.token,
        "DBT_CLOUD_ACCOUNT_ID": str(server.account_id),
        "DBT_CLOUD_PROJECT_ID": str(project),
        "DBT_CLOUD_ENVIRONMENT_ID_1": str(homes[0]),
        "DBT_CLOUD_ENVIRONMENT_ID_2": str(homes[1]),
        "ACC_TEST_DBT_CLOUD_USER_ID": f"{USER_ID}",
        "ACC_TEST_DBT_CLOUD_USER_EMAIL": EMAIL,
        "ACC_TEST_DBT_CLOUD_GROUP_IDS": ",".join(map(str, groups)),
        "ACC_TEST_GITHUB_REPO_URL": "git://github.com/dbt-labs/jaffle_shop.git",
        "ACC_TEST_GITHUB_APP_INSTALLATION_ID": "1",
    }
    return values | {f"DBT_ACCEPTANCE_TEST_{name}": "anything" for name in ANYTHING}


def environment_with_run(server: LocalDbtCloud, project: int, name: str) -> int:
    """Create an environment in which a run has succeeded, as the semantic layer needs it."""
    home: int = created(server, f"projects/{project}/environments/", name=name)
    job = {"name": name, "project_id": project, "environment_id": home}
    response = server.request("POST", "jobs/", json={**job, "execute_steps": ["dbt parse"]})
    run = server.wait(server.trigger(response.json()["data"]["id"]))
    assert run["is_success"], run["status_message"]
    return home


def created(server: LocalDbtCloud, path: str, **body: Any) -> Any:
    response = server.request("POST", f"/api/v3/accounts/{server.account_id}/{path}", json=body)
    response.raise_for_status()
    data = response.json()["data"]
    return data["id"] if isinstance(data, dict) else data


def run_tests(provider: Path, variables: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Run the tests, two at a time, and yield Go's events."""
    command = ["go", "test", "-mod=readonly", "-count=1", "-p", "1", "-parallel", "2", "-json"]
    with subprocess.Popen(
        [*command, "-run", TESTS, "./..."],
        cwd=provider,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)


def counted(events: Iterable[dict[str, Any]]) -> Iterator[Count]:
    """Yield each package that has such tests, when it has ended; subtests count with their test."""
    counts: dict[str, Count] = {}
    for event in events:
        action, test = event["Action"], event.get("Test", "")
        name = event.get("Package", "")
        count = counts.setdefault(name, Count(name.rpartition("/")[2]))
        if action not in RESULTS or "/" in test:
            continue
        if not test:
            if count.results:
                yield count
            continue
        count.results[action] += 1
        if action == "fail":
            count.failed.append(test)
