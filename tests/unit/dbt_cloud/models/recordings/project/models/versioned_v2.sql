{{ config(alias='versioned') }}
select id, 'more' as further from {{ ref('first') }}
