{{ config(tags='hourly') }}

with

orders as (

    select * from {{ ref('stg_orders') }}

),

order_items as (

    select * from {{ ref('stg_order_items') }}

),

payments as (

    select * from {{ ref('stg_payments') }}

),

items_by_order as (

    select
        order_id,
        sum(quantity) as count_items,
        sum(item_total) as subtotal

    from order_items
    group by order_id

),

payments_by_order as (

    select
        order_id,
        sum(amount) filter (where not is_refund) as amount_paid,
        -sum(amount) filter (where is_refund) as amount_refunded

    from payments
    where is_succeeded
    group by order_id

),

joined as (

    select
        orders.order_id,
        orders.customer_id,
        orders.store_id,
        orders.ordered_at,
        orders.order_status,
        orders.order_status = 'cancelled' as is_cancelled,
        coalesce(items_by_order.count_items, 0) as count_items,
        coalesce(items_by_order.subtotal, 0) as subtotal,
        orders.tax,
        orders.order_total,
        coalesce(payments_by_order.amount_paid, 0) as amount_paid,
        coalesce(payments_by_order.amount_refunded, 0) as amount_refunded

    from orders
    left join items_by_order on orders.order_id = items_by_order.order_id
    left join payments_by_order on orders.order_id = payments_by_order.order_id

),

final as (

    select
        *,
        amount_paid - amount_refunded as revenue

    from joined

)

select * from final
