"""What the launcher takes from Airflow."""
