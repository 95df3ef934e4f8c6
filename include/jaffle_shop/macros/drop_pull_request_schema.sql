{# Drops the schemas that runs for one pull request have built into. The run that calls it gets the
   schema as override: dbt Cloud drops these only for pull requests that its own git webhooks
   announce. `adapter.drop_schema` commits, and works on every warehouse. #}
{% macro drop_pull_request_schema() %}
    {% if not target.schema.startswith("dbt_cloud_pr_") %}
        {{ exceptions.raise_compiler_error(
            "This drops schemas of pull requests only, and " ~ target.schema ~ " is none."
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
