-- The till's total must be what the lines of the order and the tax come to.
select order_id, subtotal, tax, order_total
from {{ ref('orders') }}
where subtotal + tax != order_total
