"""Time per message of the embedded assistant on one thread, without a language model, by tier; and its cold start.

What is timed is `respond` alone, with everything it does: classifier, screens, search, extraction, groundedness, output check. Each
message is written once, so nothing is answered from a cache. Cold start = a new process until its first reply, stored model included.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from controlplane.assistant import Assistant, ConversationState, Message, build_assistant, good
from controlplane.simulation.needs import all_needs

MESSAGES = 600
WARM_UP = 60
TARGETS = {"default": ("-", 5.0), "embeddings": (15.0, 25.0)}
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

COLD_START = """
import sys, time
started = time.perf_counter()
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from controlplane.assistant import ConversationState, Message, build_assistant, good
assistant = build_assistant(replace(good(), tier=sys.argv[2]), Path(sys.argv[1]))
built = time.perf_counter()
assistant.respond(ConversationState(), Message("c", 1, "u", "how long does a refund take", datetime.now(UTC)))
print(time.perf_counter() - started)
"""


def run(tiers: tuple[Literal["default", "embeddings"], ...] = ("default", "embeddings")) -> dict[str, Any]:
    """Milliseconds per message and seconds to the first reply, beside the targets."""
    texts = [text for need in all_needs() for text in (*need.openings, *need.indirect)]
    found: dict[str, Any] = {}
    for tier in tiers:
        with tempfile.TemporaryDirectory() as folder:
            times, work = _milliseconds(build_assistant(replace(good(), tier=tier), Path(folder)), texts)
            cold = statistics.median(_cold_start(folder, tier) for _ in range(3))
        middle, late = TARGETS[tier]
        found[f"{tier}: p50 ms a message (target <= {middle})"] = round(statistics.median(times), 2)
        found[f"{tier}: p95 ms a message (target <= {late})"] = round(statistics.quantiles(times, n=20)[-1], 2)
        found[f"{tier}: p95 ms of processor time a message"] = round(statistics.quantiles(work, n=20)[-1], 2)
        found[f"{tier}: cold start, s to the first reply (target <= 3)"] = round(cold, 2)
    return found


def _milliseconds(assistant: Assistant, texts: list[str]) -> tuple[list[float], list[float]]:
    """Elapsed and processor time of each message; on a busy machine the second is what the assistant itself needs."""
    elapsed, work = [], []
    for number in range(MESSAGES):
        message = Message(f"l-{number}", 1, f"u{number}", f"{texts[number % len(texts)]} ({number})", NOW)
        begin, busy = time.perf_counter(), time.thread_time()
        assistant.respond(ConversationState(), message)
        elapsed.append(1000 * (time.perf_counter() - begin))
        work.append(1000 * (time.thread_time() - busy))
    return elapsed[WARM_UP:], work[WARM_UP:]


def _cold_start(folder: str, tier: str) -> float:
    result = subprocess.run(
        [sys.executable, "-c", COLD_START, folder, tier], capture_output=True, text=True, check=True, timeout=300
    )
    return float(result.stdout)


if __name__ == "__main__":
    for key, value in run().items():
        print(f"{key:60} {value}", flush=True)
