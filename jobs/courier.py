"""Delivery in a thread of its own: a receiver that hangs for seconds costs the heartbeat, and so a rollback, nothing.

The heartbeat only says that there may be something to tell (`poke`) and gets back what became of messages since it last asked. What is told when is
in the state database alone, so the thread may end at any moment; the next process carries on. An error of the state is raised where the heartbeat
asks, which is where errors are counted and shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from alerts.delivery import DeliveryResult
from controlplane.store.state_claims import FencedOff

WAKE_SECONDS = 1.0  # without a poke: waits and pauses end by the clock


class Courier:
    """Calls `round_of(now)` in its thread, never twice at once, until it is stopped. After FencedOff it ends by itself."""

    def __init__(self, round_of: Callable[[datetime], list[DeliveryResult]], clock: Callable[[], datetime]) -> None:
        self._round_of, self._clock = round_of, clock
        self._lock = threading.Lock()
        self._results: list[DeliveryResult] = []
        self._error: Exception | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Look at once, and from then on."""
        self._thread.start()

    def stop(self) -> None:
        """Let the round that is at work end, and start no other."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def poke(self) -> list[DeliveryResult]:
        """There may be something to tell. What became of messages since the last poke; raises what stopped a round since then."""
        self._wake.set()
        with self._lock:
            results, self._results = self._results, []
            error, self._error = self._error, None
        if error is not None:
            raise error
        return results

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                found = self._round_of(self._clock())
            except Exception as error:  # kept for the heartbeat, which raises it
                with self._lock:
                    self._error = error
                if isinstance(error, FencedOff):
                    return
            else:
                with self._lock:
                    self._results += found
            self._wake.wait(WAKE_SECONDS)
