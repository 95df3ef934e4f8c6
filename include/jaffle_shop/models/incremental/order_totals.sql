{{
    config(
        materialized='incremental',
        incremental_strategy='microbatch',
        event_time='ordered_at',
        batch_size='day',
        begin='2026-04-01',
        lookback=1,
        on_schema_change='fail'
    )
}}

with

deliveries as (

    select * from {{ source('jaffle_shop', 'orders') }}

),

latest as (

    select * from deliveries
    qualify row_number() over (partition by order_id order by received_at desc) = 1

),

final as (

    select
        order_id,
        store_id,
        ordered_at at time zone 'utc' as ordered_at,
        status as order_status,
        {{ cents_to_dollars('total_cents') }} as order_total

    from latest

)

select * from final
