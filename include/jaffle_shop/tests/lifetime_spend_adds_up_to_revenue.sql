-- The customers' spend equals the shop's revenue.
with

spent as (

    select sum(lifetime_spend) as total from {{ ref('customers') }}

),

kept as (

    select sum(revenue) as total from {{ ref('orders') }}

)

select spent.total as spent, kept.total as kept
from spent, kept
where spent.total != kept.total
