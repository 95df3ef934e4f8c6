from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.unit.local_airflow.conftest import Checkout

pytestmark = pytest.mark.slow

# Enter connections as in the UI, prepare the database, print what Airflow reads.
ENTER_PREPARE_AND_PRINT = """
import sys
from airflow.models.connection import Connection
from airflow.models.pool import Pool
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from include.local_airflow.airflow.prepare_database import main
with create_session() as session:
    for conn_id, host, login in (each.split("=") for each in sys.argv[2:]):
        connection = session.query(Connection).filter_by(conn_id=conn_id).one()
        connection.host, connection.login, connection.password = host or None, login, "entered"
assert main(sys.argv[1]) == 0
conn = Connection.get_connection_from_secrets("dbt_cloud_default")
pool = Pool.get_pool("small")
print(conn.host, conn.login, conn.password, pool.slots, pool.include_deferred, Variable.get("a"))
for name in ("census_default", "warehouse_default"):
    print(Connection.get_connection_from_secrets(name).host)
"""

MORE = """\
  pools:
    - pool_name: small
      pool_slot: 2
  variables:
    - variable_name: a
      variable_value: {value}
"""


# The first argument of the program is the database's mark.
IN_AIRFLOW = """
import subprocess, sys
from include.local_airflow.settings.environment import airflow_environment
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
launch = Launch.read()
database = sqlite_database(launch.home)
command = [sys.executable, "-c", sys.argv[1], str(database.mark), *sys.argv[2:]]
subprocess.run(command, env=airflow_environment(launch, database), check=True)
"""


def prepared(checkout: Checkout, value: str, *entered: str, **variables: str) -> str:
    """Prepare a database with the launcher's environment; return what Airflow reads from it.

    First, host and login are ``entered`` as in the UI for each ``connection=host=login``.
    """
    text = (checkout.folder / "airflow_settings.yaml").read_text().partition("  pools:")[0]
    (checkout.folder / "airflow_settings.yaml").write_text(text + MORE.format(value=value))
    checkout.variables = dict(variables)
    result = checkout.run("-c", IN_AIRFLOW, ENTER_PREPARE_AND_PRINT, *entered)
    assert result.returncode == 0, result.stderr
    return "\n".join(result.stdout.strip().splitlines()[-3:])


def test_settings_overwrite_connections_except_real_accounts(checkout: Checkout) -> None:
    """Each preparation starts a process with Airflow, so one test has all three."""
    first = prepared(checkout, "one")
    warehouse = checkout.folder / "include" / ".local" / "warehouse.duckdb"
    local = f"localhost:8580 16173 local-dbt-cloud-token 2 False one\nlocalhost:8581\n{warehouse}"
    assert first == local
    changed = {"DBT_CLOUD_PORT": "9000", "LOCAL_DBT_CLOUD_TOKEN": "other"}
    moved = prepared(checkout, "two", "dbt_cloud_default=localhost:9999=16173", **changed)
    assert moved == f"localhost:9000 16173 other 2 False two\nlocalhost:9001\n{warehouse}"
    database = Path(checkout.folder, ".airflow", "run.db")
    [(count,)] = sqlite3.connect(database).execute("select count(*) from connection")
    assert count == 4
    second_account = "dbt_cloud_default=localhost:8699=20042"
    entered = (second_account, "fivetran_default==7", "census_default=c.com=7")
    again = prepared(checkout, "two", *entered, DBT_CLOUD_PORT="9000")
    assert again == f"localhost:8699 20042 entered 2 False two\nc.com\n{warehouse}"
