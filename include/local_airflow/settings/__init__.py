"""The choices of the user: `.env`, the environment, and `airflow_settings.yaml`."""
