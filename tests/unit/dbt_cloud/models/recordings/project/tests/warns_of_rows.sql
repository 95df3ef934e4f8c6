{{ config(severity='warn') }}
select * from {{ ref('third') }} where {{ var('warns_of') }} > 0
