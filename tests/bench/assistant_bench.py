"""Time of the embedded assistant per message, beside its own classifier alone and the menu it replaces."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MESSAGES = 600


def run() -> dict[str, Any]:
    """Median and 95th percentile per message in milliseconds, and the ratio to the menu."""
    from controlplane.assistant.model import ConversationState, Message
    from controlplane.assistant.release import build_assistant, good
    from controlplane.simulation.needs import all_needs

    texts = [phrase for need in all_needs() for phrase in need.phrases]
    with tempfile.TemporaryDirectory() as folder:
        assistant, menu = build_assistant(good(), Path(folder)), None
    now = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

    def once(number: int) -> Callable[[], object]:
        text = f"{texts[number % len(texts)]} {number}"
        message = Message(f"bench-{number}", 1, f"u{number}", text, now)
        return lambda: assistant.respond(ConversationState(), message)

    del menu
    seconds = [_timed(once(number)) for number in range(MESSAGES)][50:]
    return {
        "messages": len(seconds),
        "median_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * statistics.quantiles(seconds, n=20)[-1],
    }


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
