"""Time of the embedded assistant per message, as a ratio to the rule-based menu it replaces, in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controlplane.assistant import ConversationState, Message, Responder, build_assistant, build_menu, good
from controlplane.simulation.needs import all_needs

MESSAGES = 1000
WARM_UP = 100


def run() -> dict[str, Any]:
    """Median and 95th percentile per message in milliseconds (aim: median <= 4), and the median's ratio to the menu's."""
    texts = [text for need in all_needs() for text in (*need.openings, *need.indirect)]
    with tempfile.TemporaryDirectory() as folder:
        assistant = _seconds(build_assistant(good(), Path(folder)), texts)
    menu = _seconds(build_menu(), texts)
    return {
        "messages": len(assistant),
        "assistant_median_ms": 1000 * statistics.median(assistant),
        "assistant_p95_ms": 1000 * statistics.quantiles(assistant, n=20)[-1],
        "menu_median_ms": 1000 * statistics.median(menu),
        "ratio_to_menu": statistics.median(assistant) / statistics.median(menu),
    }


def _seconds(responder: Responder, texts: list[str]) -> list[float]:
    now = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    found = []
    for number in range(MESSAGES):
        message = Message(f"bench-{number}", 1, f"u{number}", f"{texts[number % len(texts)]} ({number})", now)
        begin = time.perf_counter()
        responder.respond(ConversationState(), message)
        found.append(time.perf_counter() - begin)
    return found[WARM_UP:]
