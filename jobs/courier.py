"""Delivery beside the heartbeat, each receiver in a thread of its own: one that hangs for seconds costs neither a rollback nor the others anything.

One thread asks who has something to tell, and starts one for each receiver that is not at work already. The heartbeat only says that there may be
something to tell (`poke`) and gets back what became of messages since it last asked. What is told when is in the state database alone, so all of them
may end at any moment; the next process carries on. An error of the state is raised where the heartbeat asks, which is where errors are counted and
shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import datetime

from alerts.delivery import DeliveryResult
from controlplane.store.state_claims import FencedOff

WAKE_SECONDS = 1.0  # without a poke: waits and pauses end by the clock


class Courier:
    """Calls `waiting(now)` in its thread and `tell(receiver, now)` in one for each receiver that it names, never twice at once of one receiver, until
    it is stopped. After FencedOff it ends by itself."""

    def __init__(
        self,
        waiting: Callable[[datetime], Collection[str]],
        tell: Callable[[str, datetime], list[DeliveryResult]],
        clock: Callable[[], datetime],
    ) -> None:
        self._waiting, self._tell, self._clock = waiting, tell, clock
        self._lock = threading.Lock()
        self._results: list[DeliveryResult] = []
        self._error: Exception | None = None
        self._at_work: dict[str, threading.Thread] = {}
        self._again: set[str] = set()  # had something to tell while they were at work
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Look at once, and from then on."""
        self._thread.start()

    def stop(self) -> None:
        """Let what is at work end, and start nothing else."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            threads = list(self._at_work.values())
        for thread in threads:
            thread.join()

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
                for receiver in sorted(self._waiting(self._clock())):
                    self._begin(receiver)
            except Exception as error:
                self._failed(error)
            self._wake.wait(WAKE_SECONDS)

    def _begin(self, receiver: str) -> None:
        with self._lock:
            if receiver in self._at_work:
                self._again.add(receiver)
                return
            thread = threading.Thread(target=self._one, args=(receiver,), name=f"courier-{receiver}", daemon=True)
            thread.start()  # its end waits for this lock
            self._at_work[receiver] = thread

    def _one(self, receiver: str) -> None:
        found: list[DeliveryResult] = []
        try:
            found = self._tell(receiver, self._clock())
        except Exception as error:
            self._failed(error)
        with self._lock:
            self._results += found
            del self._at_work[receiver]
            if receiver in self._again:
                self._again.discard(receiver)
                self._wake.set()

    def _failed(self, error: Exception) -> None:
        """Kept for the heartbeat, which raises it. Who is fenced off writes no more, so it has nobody told any more."""
        with self._lock:
            if not isinstance(self._error, FencedOff):
                self._error = error
        if isinstance(error, FencedOff):
            self._stop.set()
            self._wake.set()
