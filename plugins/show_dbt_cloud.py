"""Show dbt Cloud in Airflow's UI: jobs, their newest runs, run times and failures.

A task's link "Run timeline" leads to the page of its run.

The page shows active runs and those that the Dag keep_dbt_cloud_history stores (as
cloned, see docs/dbt_cloud_page.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

DBT_CLOUD_CONN_IDS = ["dbt_cloud_default"]  # one for each account to show
DAG_ID = "keep_dbt_cloud_history"  # read access to it is required for the page
# HISTORY of that Dag
HISTORY = f"file://{Path(__file__).parents[1]}/include/.local/history"
PAGE, ROUTE = "dbt-cloud-page", "dbt-cloud"  # its paths, and in Airflow's frame


@cache
def page() -> Any:
    from airflow.sdk import ObjectStoragePath

    from include.dbt_cloud.page import make_page

    return make_page(ObjectStoragePath(HISTORY), DBT_CLOUD_CONN_IDS, DAG_ID)


class ShowDbtCloud(AirflowPlugin):
    name = "show_dbt_cloud"
    external_views: list[Any] = [  # noqa: RUF012 - as in Airflow
        {
            "name": "dbt Cloud",
            "href": f"{PAGE}/",  # relative, so that it works behind any proxy
            "url_route": ROUTE,
            "destination": "nav",
        }
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a list in Airflow
        """Return the page's app; only the API server reads this, and imports the page."""
        return [{"app": page(), "url_prefix": f"/{PAGE}", "name": "dbt Cloud"}]

    @property
    def operator_extra_links(self) -> list[Any]:  # type: ignore[override]  # a list in Airflow
        """Return the link of dbt Cloud's operators; also only for the API server."""
        from include.dbt_cloud.freshness import WaitForFreshSourcesOperator
        from include.dbt_cloud.page import RunTimelineLink
        from include.dbt_cloud.pull_requests import DbtCloudCheckPullRequestOperator

        # Name subclasses of your own here too.
        more = (DbtCloudCheckPullRequestOperator, WaitForFreshSourcesOperator)
        return [RunTimelineLink(f"plugin/{ROUTE}/{PAGE}", *more)]
