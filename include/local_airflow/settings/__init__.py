"""The user's choices: ``.env``, the environment, and ``airflow_settings.yaml``."""
