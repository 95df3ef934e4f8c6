"""``make install``: one virtual environment for Airflow and one for dbt."""
