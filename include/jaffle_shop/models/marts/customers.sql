with

customers as (

    select * from {{ ref('stg_customers') }}

),

orders as (

    select * from {{ ref('orders') }}

),

payments as (

    select * from {{ ref('stg_payments') }}

),

newest_order as (

    select max(ordered_at) as ordered_at from orders

),

orders_by_customer as (

    select
        customer_id,
        min(ordered_at) filter (where not is_cancelled) as first_ordered_at,
        max(ordered_at) filter (where not is_cancelled) as last_ordered_at,
        count(*) filter (where not is_cancelled) as count_orders,
        sum(revenue) as lifetime_spend

    from orders
    group by customer_id

),

-- Spend and refunds count on the day of the payment, so later events never change the spend of the
-- first 60 days.
payments_since_first_order as (

    select
        orders.customer_id,
        payments.order_id,
        payments.amount,
        payments.paid_at - orders_by_customer.first_ordered_at as since_first_order

    from payments
    inner join orders on payments.order_id = orders.order_id
    inner join orders_by_customer on orders.customer_id = orders_by_customer.customer_id
    where payments.is_succeeded

),

spend_by_customer as (

    select
        customer_id,
        sum(amount) filter (where since_first_order < interval 60 days) as spend_first_60_days,
        count(distinct order_id) filter (
            where since_first_order < interval 60 days
        ) as orders_first_60_days,
        sum(amount) filter (
            where since_first_order >= interval 60 days and since_first_order < interval 120 days
        ) as spend_next_60_days

    from payments_since_first_order
    group by customer_id

),

joined as (

    select
        customers.customer_id,
        customers.customer_name,
        customers.email,
        customers.has_email,
        customers.signed_up_at,
        orders_by_customer.first_ordered_at,
        orders_by_customer.last_ordered_at,
        coalesce(orders_by_customer.count_orders, 0) as count_orders,
        coalesce(orders_by_customer.lifetime_spend, 0) as lifetime_spend,
        coalesce(spend_by_customer.spend_first_60_days, 0) as spend_first_60_days,
        coalesce(spend_by_customer.orders_first_60_days, 0) as orders_first_60_days,
        case
            when orders_by_customer.first_ordered_at + interval 120 days <= newest_order.ordered_at
                then coalesce(spend_by_customer.spend_next_60_days, 0)
        end as spend_next_60_days

    from customers
    left join orders_by_customer on customers.customer_id = orders_by_customer.customer_id
    left join spend_by_customer on customers.customer_id = spend_by_customer.customer_id
    cross join newest_order

),

final as (

    select
        *,
        coalesce(
            spend_first_60_days / nullif(orders_first_60_days, 0), 0
        )::decimal(16, 2) as average_basket_first_60_days

    from joined

)

select * from final
