"""Run the given benchmarks, or all but the longest, and print one table each.

An interrupt also stops the processes that a benchmark has started.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Iterable
from functools import partial

from benchmarks import (
    finished_runs,
    local_dbt_cloud,
    model_tasks,
    pages,
    parse_models,
    soak,
    waiting_runs,
)
from benchmarks.figures import Figure

# Number of models, and the seconds of each.
MODELS = {
    "jaffle_shop": (0, 0),
    "100": (100, 0),
    "185": (185, 0),
    "185_slow": (185, 2),
    "500": (500, 0),
}
BENCHMARKS: dict[str, Callable[[int], Iterable[Figure]]] = {
    "finished_runs": finished_runs.measure,
    "local_dbt_cloud": local_dbt_cloud.measure,
    "pages": pages.measure,
    "parse_models": parse_models.measure,
    "soak": soak.measure,
    "waiting_runs": waiting_runs.measure,
    **{f"model_tasks_{name}": partial(model_tasks.measure, *kind) for name, kind in MODELS.items()},
}
WHEN_NAMED = {"soak", *(f"model_tasks_{name}" for name in MODELS)}  # half an hour each


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds of each median")
    options = parser.parse_args()
    for name in options.names or [each for each in BENCHMARKS if each not in WHEN_NAMED]:
        if name not in BENCHMARKS:
            parser.error(f"{name} is not a benchmark: choose from {', '.join(BENCHMARKS)}")
        print(f"{name}, median of {options.rounds} rounds (lowest to highest)")
        for figure in BENCHMARKS[name](options.rounds):
            print(f"  {figure}", flush=True)


if __name__ == "__main__":
    main()
