"""`make eject`: makes the project of somebody with a dbt Cloud account of this repository."""
