"""Imports that Airflow has moved or does not promise, and the check of its version."""
