"""Airflow on this machine without Docker: what `make run`, `make start` and `make stop` do."""
