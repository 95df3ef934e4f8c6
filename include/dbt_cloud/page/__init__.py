"""The page "dbt Cloud" in Airflow's UI: jobs, their runs, run times and failures.

``plugins/show_dbt_cloud.py`` adds it. It runs in Airflow's API server, behind its login.
"""

from .app import make_page
from .links import RunTimelineLink

__all__ = ["RunTimelineLink", "make_page"]
