"""The rhythm of the heartbeat: once a second, and besides at the very moment at which a block can close.

A block closes when the sources' watermark has passed its end, its labels are mature and the policy's lateness is over; that moment is known
beforehand (`jobs.closing.closes_at`). A beat that comes by the clock alone is late by half a second on average and by more than one at worst,
because beats take time; so the beat waits for that moment, and looks again at short intervals while a source is still a little behind.

The control process's own source, the API, would be such a source: it says that it is alive every few seconds only. It says so once more at
that moment, in the same way and with the same meaning: what was acknowledged until now is on disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.store.state_claims import FencedOff

log = logging.getLogger("controlplane.jobs")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in spans of time. `patience`: how long a source that is behind is looked for between two regular beats."""

    regular: timedelta = timedelta(seconds=1)
    again: timedelta = timedelta(seconds=0.2)
    patience: timedelta = timedelta(seconds=2)
    rest: timedelta = timedelta(seconds=0.05)
    """Between any two beats, so that other threads have their turn where beats take longer than their rhythm."""


def next_beat(began: datetime, ended: datetime, closes: datetime | None, pace: Pace) -> datetime:
    """When to beat next: after a beat from `began` to `ended` that left the next block to close at `closes` (None: there is none)."""
    regular = began + pace.regular
    if closes is None:
        wanted = regular
    elif closes > ended:  # a regular beat right before it would still be at work then
        wanted = closes if closes <= regular + pace.regular / 2 else regular
    elif ended - closes < pace.patience:
        wanted = min(regular, ended + pace.again)
    else:
        wanted = regular
    return max(wanted, ended + pace.rest)


class Heart:
    """Beats in a thread of its own, never twice at once, until it is stopped.

    `beat(now, due)` does one beat and returns when the next block can close by the clock; `due` is what the beat before returned, once that
    moment has come, else None. A beat that fails is logged, and the next one comes by the regular rhythm. FencedOff ends it.
    """

    def __init__(
        self,
        beat: Callable[[datetime, datetime | None], datetime | None],
        clock: Callable[[], datetime],
        on_fenced: Callable[[], None],
        pace: Pace | None = None,
    ) -> None:
        self._beat, self._clock, self._on_fenced = beat, clock, on_fenced
        self._pace = pace if pace is not None else Pace()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """Beat at once, and from then on."""
        self._thread.start()

    def stop(self) -> None:
        """Let the beat that is at work end, and beat no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        closes: datetime | None = None
        while not self._stop.is_set():
            began = self._clock()
            try:
                closes = self._beat(began, closes if closes is not None and began >= closes else None)
            except FencedOff as error:
                log.error("heartbeat: %s", error)
                self._on_fenced()
                return
            except Exception:
                log.exception("a heartbeat failed; the next one tries again")
                closes = None
            ended = max(self._clock(), began)  # a clock that was set back must not stretch the pause
            self._stop.wait((next_beat(began, ended, closes, self._pace) - ended).total_seconds())
