{{ config(tags='hourly') }}

with

source as (

    select * from {{ source('jaffle_shop', 'payments') }}

),

latest as (

    select * from source
    qualify row_number() over (partition by payment_id order by received_at desc) = 1

),

renamed as (

    select
        payment_id,
        order_id,
        coalesce(payment_method, 'unknown') as payment_method,
        status = 'succeeded' as is_succeeded,
        status = 'succeeded' and amount_cents < 0 as is_refund,
        {{ cents_to_dollars('amount_cents') }} as amount,
        paid_at at time zone 'utc' as paid_at,
        received_at at time zone 'utc' as received_at

    from latest

)

select * from renamed
