{{ config(materialized='table', database='other', alias='third') }}
select id from {{ ref('first') }}
{% if var('fails') == 'twin' %}where error('on purpose'){% endif %}
