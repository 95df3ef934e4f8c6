"""Code that the local dbt Cloud and the local Fivetran and Census share."""
