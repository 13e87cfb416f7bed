"""`make bench`: what the product costs, as ratios measured in one run on one machine.

Each line compares with something measured beside it (DuckDB's own read, the same work on a longer history), because a time
alone says more about the machine than about the program.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import (
    assistant_bench,
    assistant_latency,
    backtest_bench,
    cache,
    cause_bench,
    drift_bench,
    evidence_bench,
    experiment_bench,
    forecast_bench,
    groundedness,
    ingest_bench,
    intents,
    pages_bench,
    reaction_bench,
    retrieval,
    safety,
    sampling_bench,
    tick_bench,
    weekly_bench,
)


def main() -> None:
    """Run the benchmarks that are asked for (all by default) and print a table, then one JSON line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        help="ingest, tick, assistant, retrieval, groundedness, safety, latency, cache, forecast, intents, sampling, backtest, drift, "
        "experiment, weekly, reaction, pages; default: all",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="lines of the ingest benchmark")
    options = parser.parse_args()
    benches: dict[str, Callable[[], dict[str, Any]]] = {
        "ingest": lambda: ingest_bench.run(rows=options.rows),
        "tick": tick_bench.run,
        "assistant": assistant_bench.run,
        "retrieval": retrieval.run,
        "groundedness": groundedness.run,
        "safety": safety.run,
        "intents": intents.run,
        "latency": assistant_latency.run,
        "cache": cache.run,
        "forecast": forecast_bench.summary,
        "evidence": evidence_bench.run,
        "sampling": sampling_bench.run,
        "backtest": backtest_bench.run,
        "experiment": experiment_bench.run,
        "drift": drift_bench.run,
        "cause": cause_bench.run,
        "weekly": weekly_bench.run,
        "reaction": reaction_bench.run,
        "pages": pages_bench.run,
    }
    unknown = sorted(set(options.names) - set(benches))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(benches)}")
    console = Console()
    results: dict[str, dict[str, Any]] = {}
    for name in options.names or benches:
        with console.status(f"measuring {name}"):
            results[name] = benches[name]()
        table = Table("figure", "value", title=name, title_justify="left")
        for key, value in results[name].items():
            table.add_row(key, f"{value:.3g}" if isinstance(value, float) else str(value))
        console.print(table)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
