"""What `make run` and `make doctor` start: Airflow without Docker."""
