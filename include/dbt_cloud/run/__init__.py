"""One dbt Cloud run per task: start it, wait for it, resume it."""
