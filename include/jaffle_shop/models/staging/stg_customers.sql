with

source as (

    select * from {{ source('jaffle_shop', 'customers') }}

),

renamed as (

    select
        customer_id,
        first_name || ' ' || last_name as customer_name,
        email,
        email is not null as has_email,
        signed_up_at at time zone 'utc' as signed_up_at,
        received_at at time zone 'utc' as received_at

    from source

)

select * from renamed
