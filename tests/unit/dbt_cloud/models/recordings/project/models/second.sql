{{ config(materialized='table') }}
select id, {{ var('unit') }} as doubled from {{ ref('first') }}
{% if var('fails') == 'second' %}where error('on purpose'){% endif %}
