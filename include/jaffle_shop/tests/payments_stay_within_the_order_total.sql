-- Payments never exceed the till's total, and refunds never exceed the payments.
select order_id, order_total, amount_paid, amount_refunded
from {{ ref('orders') }}
where amount_paid > order_total or amount_refunded > amount_paid
