-- Every successful payment and refund ends up in the revenue of exactly one order.
with

booked as (

    select sum(revenue) as total from {{ ref('orders') }}

),

moved as (

    select sum(amount) as total from {{ ref('stg_payments') }}
    where is_succeeded

)

select booked.total as booked, moved.total as moved
from booked, moved
where booked.total != moved.total
