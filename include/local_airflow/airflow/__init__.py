"""The parts of Airflow that the launcher uses."""
