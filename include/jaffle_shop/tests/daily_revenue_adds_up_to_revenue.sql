-- Each day and store counts exactly once.
with

by_day as (

    select sum(revenue) as total from {{ ref('daily_revenue') }}

),

by_order as (

    select sum(revenue) as total from {{ ref('orders') }}

)

select by_day.total as by_day, by_order.total as by_order
from by_day, by_order
where by_day.total != by_order.total
