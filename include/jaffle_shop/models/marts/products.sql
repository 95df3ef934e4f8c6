with

products as (

    select * from {{ ref('stg_products') }}

),

order_items as (

    select * from {{ ref('order_items') }}

),

sales_by_product as (

    select
        product_id,
        sum(quantity) as quantity_sold,
        sum(item_total) as sales

    from order_items
    where not is_cancelled
    group by product_id

),

final as (

    select
        products.product_id,
        products.product_name,
        products.product_type,
        products.product_price,
        coalesce(sales_by_product.quantity_sold, 0) as quantity_sold,
        coalesce(sales_by_product.sales, 0) as sales

    from products
    left join sales_by_product on products.product_id = sales_by_product.product_id

)

select * from final
