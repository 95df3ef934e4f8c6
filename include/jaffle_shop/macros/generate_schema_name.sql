{# All models are built into the schema of the environment, or of a run's schema override, so that a
   trial run in another schema never changes production tables. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro %}
