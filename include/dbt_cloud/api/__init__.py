"""Calls of dbt Cloud, and what it sends back: runs, artifacts, logs and errors."""
