"""`make install`: a virtual environment for Airflow and one for dbt."""
