{{ config(
    materialized='incremental', incremental_strategy='microbatch', event_time='day',
    batch_size='day', begin='2026-01-01'
) }}
select day, case
    when day = '{{ var('batch_fails') }}' then error('on purpose') else 1
end as amount
from {{ ref('days') }}
