"""A process that writes or ingests until it is killed, for the kill tests. It kills itself, at a step it is told.

ingest_worker.py file WAREHOUSE FILE STEP COUNT       ingest a file; SIGKILL after the COUNT-th STEP
ingest_worker.py landing WAREHOUSE FOLDER STEP COUNT  the same for a landing folder
ingest_worker.py write FOLDER                         write records for ever, print each id once it is acknowledged
"""

import os
import signal
import sys
import time
from itertools import count
from pathlib import Path

from controlplane.store.facts import ingest_file, ingest_landing
from controlplane.store.landing import LandingWriter
from controlplane.store.warehouse import Warehouse
from tests.store.facts_world import KEY, NOW, interaction

SLICE_BYTES, TRANSACTION_BYTES = 4000, 9000


def deadly(step: str, times: int):
    """An observer that kills this very process when `step` was reached `times` times."""
    seen = 0

    def observe(reached: str) -> None:
        nonlocal seen
        seen += reached == step
        if seen == times:
            os.kill(os.getpid(), signal.SIGKILL)

    return observe


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1] == "write":
        with LandingWriter(sys.argv[2], "phone") as writer:
            for number in count():
                writer.write([interaction(number, f"c{number // 3}", number / 1000, turn=number % 3)])
                print(f"i{number}", flush=True)
                time.sleep(0.003)  # leaves the processor to the reader
    what, warehouse_path, path, step, times = sys.argv[1:]
    observe = deadly(step, int(times))
    with Warehouse.open(warehouse_path) as warehouse:
        if what == "file":
            ingest_file(
                warehouse,
                path,
                source="test",
                now=NOW,
                key=KEY,
                slice_bytes=SLICE_BYTES,
                observe=observe,
                transaction_bytes=TRANSACTION_BYTES,
            )
        else:
            ingest_landing(
                warehouse,
                Path(path),
                now=NOW,
                key=KEY,
                slice_bytes=SLICE_BYTES,
                observe=observe,
                transaction_bytes=TRANSACTION_BYTES,
            )


if __name__ == "__main__":
    main()
