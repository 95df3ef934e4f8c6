{# Everything lands in the schema that the environment, or a run's schema override, names: a trial
   run in a schema of its own never touches production tables. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro %}
