"""A small regression that predicts a customer's next 60 days of spend from the first 60."""

from __future__ import annotations

import duckdb
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

FEATURES = ("spend_first_60_days", "orders_first_60_days")
TARGET = "spend_next_60_days"


def train_spend_model(warehouse: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """Fit on three quarters of the customers mart, test on the rest, store the result in ``ml``.

    Args:
        warehouse: A writable connection; the mart ``analytics.customers`` must exist.

    Returns:
        The row of ``ml.spend_model``: the number of customers, the mean absolute errors of the
        model and of predicting the mean, in the mart's currency, and the coefficients.

    Raises:
        ValueError: Fewer than 20 customers have a history of 120 days, too few for training.
    """
    customers = warehouse.execute(
        f"select {', '.join(FEATURES)}, {TARGET} from analytics.customers"
        f" where {TARGET} is not null order by customer_id"
    ).fetchnumpy()
    spend = customers[TARGET]
    if len(spend) < 20:
        raise ValueError(
            f"Only {len(spend)} customers have a history of 120 days, too few for training."
            " Load more history: run the Dag by hand, or backfill it."
        )
    behaviour = list(zip(*(customers[name] for name in FEATURES), strict=True))
    seen, unseen, seen_spend, unseen_spend = train_test_split(behaviour, spend, random_state=7)
    model = LinearRegression().fit(seen, seen_spend)
    mean = [seen_spend.mean()] * len(unseen)
    result = {
        "customers": len(spend),
        "mean_absolute_error": round(mean_absolute_error(unseen_spend, model.predict(unseen)), 2),
        "baseline_error": round(mean_absolute_error(unseen_spend, mean), 2),
        "intercept": float(model.intercept_),
        **dict(zip(FEATURES, map(float, model.coef_), strict=True)),
    }
    warehouse.execute("create schema if not exists ml")
    warehouse.execute(
        "create or replace table ml.spend_model as select now() as trained_at, unnest($result)",
        {"result": result},
    )
    return result
