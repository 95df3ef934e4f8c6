{{ config(tags='hourly') }}

with

orders as (

    select * from {{ ref('orders') }}

),

final as (

    select
        ordered_at::date as ordered_on,
        store_id,
        count(*) filter (where not is_cancelled) as count_orders,
        sum(amount_paid) as amount_paid,
        sum(amount_refunded) as amount_refunded,
        sum(revenue) as revenue

    from orders
    group by ordered_on, store_id

)

select * from final
