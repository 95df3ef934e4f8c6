"""Receive webhooks of finished dbt Cloud runs, and deduplicate the events of asset watchers.

The API server serves ``POST /webhooks/dbt-cloud`` (as cloned, see docs/events.md for the setup).
The connection ``dbt_cloud_webhooks`` holds the secret of one account, the extra of its connection
that of each other account. Other processes do not import the app.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

TRIGGERER = "airflow.jobs.triggerer_job_runner"  # imported by processes that store triggers' events


class ReceiveDbtCloudWebhooks(AirflowPlugin):
    name = "receive_dbt_cloud_webhooks"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a list in Airflow
        """Return the app; only the API server reads this."""
        from include.dbt_cloud.events.receiver import app

        return [{"app": app, "url_prefix": "/webhooks", "name": "dbt Cloud's webhooks"}]

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Replace the asset manager, since `asset_manager_class` does not apply to triggers."""
        if TRIGGERER in sys.modules:
            import airflow.models.trigger

            from include.dbt_cloud.events.deduplication import OncePerRunAssetManager

            airflow.models.trigger.AssetManager = (  # type: ignore[attr-defined]  # imported there
                OncePerRunAssetManager
            )
