"""Run the given benchmarks, or all but the longest, and print one table each.

An interrupt also stops the processes that a benchmark has started.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks import (
    client_faults,
    finished_runs,
    local_dbt_cloud,
    model_tasks,
    pages,
    parse_models,
    soak,
    terraform,
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
TABLES: dict[str, Callable[[argparse.Namespace], Iterable[object]]] = {  # one round
    "clients": lambda _options: client_faults.table(),
    "terraform": lambda options: terraform.measure(options.provider),
}
WHEN_NAMED = {"soak", *(f"model_tasks_{name}" for name in MODELS)}  # half an hour each


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    known = [*BENCHMARKS, *TABLES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds of each median")
    parser.add_argument(
        "--provider", type=Path, help="of terraform: a checkout of the provider, whose tests run"
    )
    options = parser.parse_args()
    if "terraform" in options.names and options.provider is None:
        parser.error("terraform needs --provider with the provider's checkout")
    for name in options.names or [each for each in BENCHMARKS if each not in WHEN_NAMED]:
        if name not in known:
            parser.error(f"{name} is not a benchmark: choose from {', '.join(known)}")
        if name in TABLES:
            for line in TABLES[name](options):
                print(line, flush=True)
            continue
        print(f"{name}, median of {options.rounds} rounds (lowest to highest)")
        for figure in BENCHMARKS[name](options.rounds):
            print(f"  {figure}", flush=True)


if __name__ == "__main__":
    main()
