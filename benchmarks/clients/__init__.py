"""One script per client: each runs one job of dbt Cloud in an environment of its own.

They import only this package and the client, and read the variables of ``measuring.py``.
"""
