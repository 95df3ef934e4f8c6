"""Shows dbt Cloud in Airflow's UI: jobs, their newest runs, run times and failures.

What it shows is what the Dag keep_dbt_cloud_history keeps, and what goes on right now.
docs/dbt_cloud_page.md tells more.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

DBT_CLOUD_CONN_ID = "dbt_cloud_default"
DAG_ID = "keep_dbt_cloud_history"  # who may read it may see the page
# As HISTORY of that Dag
HISTORY = f"file://{Path(__file__).parents[1]}/include/.local/history"


@cache
def page() -> Any:
    from airflow.sdk import ObjectStoragePath

    from include.dbt_cloud.page import make_page

    return make_page(ObjectStoragePath(HISTORY), DBT_CLOUD_CONN_ID, DAG_ID)


class ShowDbtCloud(AirflowPlugin):
    name = "show_dbt_cloud"
    external_views: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {
            "name": "dbt Cloud",
            "href": "dbt-cloud-page/",  # from the address that Airflow has, behind whatever proxy
            "url_route": "dbt-cloud",
            "destination": "nav",
        }
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a list elsewhere
        """Only the API server asks for them, and so imports what the page needs."""
        return [{"app": page(), "url_prefix": "/dbt-cloud-page", "name": "dbt Cloud"}]
