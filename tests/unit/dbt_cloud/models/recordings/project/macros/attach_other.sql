{# A second database: dbt makes its schemas before it runs any hook. #}
{% macro duckdb__create_schema(relation) %}
  {% do run_query("attach if not exists ':memory:' as other") %}
  {% do run_query("create schema if not exists " ~ relation.without_identifier()) %}
{% endmacro %}
