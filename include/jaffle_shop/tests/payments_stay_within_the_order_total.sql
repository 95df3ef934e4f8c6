-- Nobody pays more than the till asked for, or gets more back than was paid.
select order_id, order_total, amount_paid, amount_refunded
from {{ ref('orders') }}
where amount_paid > order_total or amount_refunded > amount_paid
