{{ config(materialized='table', database='other', schema='far', alias='renamed') }}
select id from {{ ref('first') }}
