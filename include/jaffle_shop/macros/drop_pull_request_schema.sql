{# Drops the schemas of one pull request. The run that calls it needs the schema as override. dbt
   Cloud itself drops only schemas of pull requests from its own git webhooks.
   `adapter.drop_schema` commits, and works on every warehouse. #}
{% macro drop_pull_request_schema() %}
    {% if not target.schema.startswith("dbt_cloud_pr_") %}
        {{ exceptions.raise_compiler_error(
            "This drops only schemas of pull requests, and " ~ target.schema ~ " is not one."
        ) }}
    {% endif %}
    {% for schema in graph.nodes.values() | map(attribute="schema") | unique %}
        {% if schema == target.schema or schema.startswith(target.schema ~ "_") %}
            {% do adapter.drop_schema(
                api.Relation.create(database=target.database, schema=schema)
            ) %}
            {% do log("Dropped the schema " ~ schema ~ ".", info=true) %}
        {% endif %}
    {% endfor %}
{% endmacro %}
