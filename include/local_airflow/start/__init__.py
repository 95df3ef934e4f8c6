"""``make start``: Airflow, its metadata database and the local servers in the background."""
