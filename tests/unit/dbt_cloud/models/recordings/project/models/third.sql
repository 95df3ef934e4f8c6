{{ config(materialized='table') }}
select id from {{ ref('passed_on') }}
