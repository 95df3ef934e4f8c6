-- The till's total equals the sum of the order's lines and the tax.
select order_id, subtotal, tax, order_total
from {{ ref('orders') }}
where subtotal + tax != order_total
