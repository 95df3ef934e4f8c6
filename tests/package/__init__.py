"""The local dbt Cloud as an installed package, outside this checkout."""
