select 1 as id{% if var('fails') == 'first' %} from nowhere{% endif %}
