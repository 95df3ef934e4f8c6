"""Imports of moved or private Airflow code, and the version check."""
