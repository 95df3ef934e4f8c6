"""The local dbt Cloud: an HTTPS server with dbt Cloud's API that runs real dbt on DuckDB.

Start it with ``python -m include.local_dbt_cloud``. README.md beside this file lists its endpoints
and limits.
"""
