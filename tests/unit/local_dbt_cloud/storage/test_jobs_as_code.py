"""Files of dbt-jobs-as-code as jobs files."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from include.local_dbt_cloud.storage.jobs_file import JobsFileError, read_jobs_file
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import JobRow
from include.local_dbt_cloud.storage.variables import environment_of_job

FILE = """\
jobs:
  nightly: &nightly
    account_id: 43791
    project_id: 176941
    environment_id: "134459"
    dbt_version: null
    deferring_job_definition_id: null
    name: Nightly
    settings: {target_name: production, threads: 4}
    execution: {timeout_seconds: 60}
    run_generate_sources: true
    generate_docs: false
    execute_steps:
    - dbt build
    schedule: {cron: "0 */2 * * *"}
    triggers: {git_provider_webhook: false, github_webhook: false, schedule: true}
    state: 1
    custom_environment_variables:
    - DBT_SHOP: online
    - DBT_LIMIT: 10
    - DBT_FULL: true
  check:
    <<: *nightly
    linked_id: 1
    name: Check
    deferring_environment_id: 43791
    custom_environment_variables: []
    triggers: {github_webhook: true}
  old:
    <<: *nightly
    state: 2
    environment_id: 5
"""


def written(folder: Path, old: str = "", new: str = "") -> Path:
    """Write the file with one change."""
    assert old in FILE
    path = folder / "jobs.yml"
    path.write_text(FILE.replace(old, new, 1) if old else FILE)
    return path


def test_jobs_projects_and_environments_are_made_from_the_file(tmp_path: Path) -> None:
    found = read_jobs_file(written(tmp_path))

    assert (found.account.id, [one.id for one in found.projects]) == (43791, [176941])
    assert {one.id: one.schema_name for one in found.environments} == {
        134459: "environment_134459",
        43791: "environment_43791",
    }
    nightly, check = found.jobs
    assert [(one.id, one.name) for one in found.jobs] == [(2, "Nightly"), (1, "Check")]
    assert nightly.execute_steps == ["dbt build"]
    assert (nightly.settings.threads, nightly.run_generate_sources) == (4, True)
    assert (nightly.computed_job_type, check.computed_job_type) == ("scheduled", "ci")
    assert check.deferring_environment_id == 43791


def test_custom_variables_are_those_of_the_job_after_each_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "dbt_cloud.db")
    for shop in ("online", "offline"):
        store.apply_jobs_file(
            read_jobs_file(written(tmp_path, "DBT_SHOP: online", f"DBT_SHOP: {shop}"))
        )
        with store.read() as session:
            variables = {
                job.name: environment_of_job(session, job)
                for job in session.scalars(select(JobRow))
            }
        assert variables == {
            "Nightly": {"DBT_SHOP": shop, "DBT_LIMIT": "10", "DBT_FULL": "true"},
            "Check": {},
        }
    store.close()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- dbt build", "- rm -rf /", "jobs.yml, line 14: jobs.nightly.execute_steps.0: `rm"),
        ("    state: 1", "    stat: 1", "jobs.yml, line 17: jobs.nightly.stat: Extra inputs"),
        ("    name: Check", "    name: ''", "jobs.yml, line .*: jobs.check.name: "),
        ("DBT_SHOP", "SHOP", "variables.0.name: "),
        ("account_id: 43791", "account_id: null", "all jobs must have the same account_id"),
        ("linked_id: 1", "account_id: 7", "all jobs must have the same account_id"),
        ("linked_id: 1", "linked_id: 1.5", "jobs.check.id: "),
        ('environment_id: "134459"', "environment_id: {{ production }}", "values of production"),
        ("name: Nightly", "name: Nightly {{ team }}", "write the values of team into a copy"),
        ("jobs:\n", "import: x\njobs:\n", "import is not known beside jobs"),
        ("jobs:\n", "jobs:\n  empty:\n", "the job empty has no settings"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(JobsFileError, match=message):
        read_jobs_file(written(tmp_path, old, new))
