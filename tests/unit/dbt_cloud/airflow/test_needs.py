from __future__ import annotations

import pytest

from include.dbt_cloud.airflow.needs import NEEDS, check


@pytest.mark.parametrize(
    ("package", "older"),
    [("apache-airflow", "3.2.2"), ("apache-airflow-providers-dbt-cloud", "4.9.0")],
)
def test_check_rejects_an_older_package_with_advice(package: str, older: str) -> None:
    with pytest.raises(ImportError, match=rf"needs {package} \S+ or newer, found {older}\. Upd"):
        check(NEEDS | {package: older})


@pytest.mark.parametrize("airflow", ["3.3", "3.3.2+astro.1", "3.3.0rc1", "3.4.0"])
def test_check_accepts_newer_airflow_versions(airflow: str) -> None:
    check(NEEDS | {"apache-airflow": airflow})
