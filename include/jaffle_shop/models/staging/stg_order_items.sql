{{ config(tags='hourly') }}

with

source as (

    select * from {{ source('jaffle_shop', 'order_items') }}

),

renamed as (

    select
        order_item_id,
        order_id,
        product_id,
        quantity,
        {{ cents_to_dollars('unit_price_cents') }} as unit_price,
        {{ cents_to_dollars('quantity * unit_price_cents') }} as item_total,
        received_at at time zone 'utc' as received_at

    from source

)

select * from renamed
