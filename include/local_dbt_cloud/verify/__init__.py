"""Compare the answers of dbt Cloud with those of the local dbt Cloud, field by field.

``python -m include.local_dbt_cloud verify`` reads from an account and writes a report without
values.
"""
