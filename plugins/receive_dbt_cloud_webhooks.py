"""Lets Airflow hear of finished dbt Cloud runs: by webhook, and by asset watchers only once each.

The API server answers `POST /webhooks/dbt-cloud`. docs/events.md says what dbt Cloud needs to know.
The connection `dbt_cloud_webhooks` holds its secret. Other processes do not even import the app.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

TRIGGERER = "airflow.jobs.triggerer_job_runner"  # imported where triggers' events are stored


class ReceiveDbtCloudWebhooks(AirflowPlugin):
    name = "receive_dbt_cloud_webhooks"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a list elsewhere
        """Only the API server asks for them."""
        from include.dbt_cloud.events.receiver import app

        return [{"app": app, "url_prefix": "/webhooks", "name": "dbt Cloud's webhooks"}]

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Airflow's setting `asset_manager_class` does not reach the events of triggers."""
        if TRIGGERER in sys.modules:
            import airflow.models.trigger

            from include.dbt_cloud.events.once import OncePerRunAssetManager

            airflow.models.trigger.AssetManager = (  # type: ignore[attr-defined]  # imported there
                OncePerRunAssetManager
            )
