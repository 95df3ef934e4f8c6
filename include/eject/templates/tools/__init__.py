"""The commands ``make run`` and ``make doctor``: Airflow without Docker."""
