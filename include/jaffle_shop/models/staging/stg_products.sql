with

source as (

    select * from {{ source('jaffle_shop', 'products') }}

),

renamed as (

    select
        product_id,
        product_name,
        product_type,
        {{ cents_to_dollars('price_cents') }} as product_price,
        received_at at time zone 'utc' as received_at

    from source

)

select * from renamed
