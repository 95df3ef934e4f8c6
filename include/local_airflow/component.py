"""One of Airflow's components, as `airflow NAME` runs it.

What a component builds first stays until it ends, and Python would look through it for garbage
again and again: looking seldom saves a quarter of the start, and of the start of each task.
"""

from __future__ import annotations

import gc
import sys

from include.local_airflow.airflow_internals import main
from include.local_airflow.orphans import end_idle_orphans

SELDOM = (50_000, 20, 50)  # new objects, then rounds of each generation

if __name__ == "__main__":
    gc.set_threshold(*SELDOM)
    if sys.argv[1] == "scheduler":
        end_idle_orphans()
    sys.argv[0] = "airflow"
    main()  # type: ignore[no-untyped-call]  # Airflow's has no types
