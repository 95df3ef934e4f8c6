with

stores as (

    select * from {{ ref('stg_stores') }}

),

orders as (

    select * from {{ ref('orders') }}

),

orders_by_store as (

    select
        store_id,
        count(*) as count_orders,
        sum(revenue) as revenue

    from orders
    where not is_cancelled
    group by store_id

),

final as (

    select
        stores.store_id,
        stores.store_name,
        stores.opened_on,
        stores.tax_rate,
        coalesce(orders_by_store.count_orders, 0) as count_orders,
        coalesce(orders_by_store.revenue, 0) as revenue

    from stores
    left join orders_by_store on stores.store_id = orders_by_store.store_id

)

select * from final
