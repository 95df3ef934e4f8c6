with

order_items as (

    select * from {{ ref('stg_order_items') }}

),

orders as (

    select * from {{ ref('orders') }}

),

products as (

    select * from {{ ref('stg_products') }}

),

final as (

    select
        order_items.order_item_id,
        order_items.order_id,
        orders.customer_id,
        orders.ordered_at,
        orders.is_cancelled,
        order_items.product_id,
        products.product_name,
        products.product_type,
        order_items.quantity,
        order_items.unit_price,
        order_items.item_total

    from order_items
    inner join orders on order_items.order_id = orders.order_id
    left join products on order_items.product_id = products.product_id

)

select * from final
