with

source as (

    select * from {{ source('jaffle_shop', 'stores') }}

),

renamed as (

    select
        store_id,
        coalesce(store_name, 'Store ' || store_id) as store_name,
        opened_on,
        tax_rate,
        received_at at time zone 'utc' as received_at

    from source

)

select * from renamed
