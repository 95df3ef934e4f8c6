"""Clients of dbt Cloud's API, and parsers for its runs, artifacts, logs and errors."""
