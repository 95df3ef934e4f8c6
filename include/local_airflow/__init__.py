"""Airflow on this machine without Docker, for ``make run``, ``make start`` and ``make stop``."""
