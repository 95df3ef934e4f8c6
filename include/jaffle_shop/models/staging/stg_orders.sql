{{ config(tags='hourly') }}

with

source as (

    select * from {{ source('jaffle_shop', 'orders') }}

),

latest as (

    select * from source
    qualify row_number() over (partition by order_id order by received_at desc) = 1

),

renamed as (

    select
        order_id,
        customer_id,
        store_id,
        ordered_at at time zone 'utc' as ordered_at,
        status as order_status,
        {{ cents_to_dollars('tax_cents') }} as tax,
        {{ cents_to_dollars('total_cents') }} as order_total,
        received_at at time zone 'utc' as received_at

    from latest

)

select * from renamed
