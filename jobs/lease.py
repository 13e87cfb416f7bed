"""The writer lease of a workspace: one control process writes at a time; who comes second is told who has it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from controlplane.settings import Settings
from controlplane.store.state import StateWriter
from controlplane.store.state_claims import FencedOff
from jobs.console import OUTSIDE, clock, fail, stderr
from jobs.process import announced, left_behind

LEASE = "writer"
LEASE_TTL = timedelta(seconds=10)
LEASE_SECONDS = 2.0


def owner_of(pid: int) -> str:
    """What a process of this machine is called in the lease."""
    return f"{socket.gethostname()}:{pid}"


def refuse_second(settings: Settings) -> None:
    """End with a message when a living control process serves the workspace."""
    running = announced(settings)
    if running is not None:
        fail(
            f"process {running['pid']} serves {settings.workspace.home} already, at {running['url']}: end it first, "
            "or name another folder with --home",
            OUTSIDE,
        )


def free_left_behind(settings: Settings, state: StateWriter) -> None:
    """The lease of a process that ended hard need not run out: a restart after `kill -9` goes on at once."""
    dead = left_behind(settings)
    if dead is not None:
        state.give_up_lease(LEASE, owner_of(dead), clock())


def wait_for_lease(state: StateWriter, owner: str, stop: threading.Event) -> None:
    """Take the writer lease; after a crash the old one runs out in seconds. Raises FencedOff when a living process has it."""
    deadline = time.monotonic() + 2 * LEASE_TTL.total_seconds()
    while True:
        try:
            state.take_lease(LEASE, owner, clock(), LEASE_TTL)
            return
        except FencedOff as error:
            if time.monotonic() > deadline or stop.is_set():
                raise FencedOff(f"{error}: another control process runs on this workspace") from None
            stderr.print("waiting for the writer lease: another control process holds it, or one has just ended hard")
            stop.wait(1.0)


def give_up_lease(settings: Settings, owner: str) -> None:
    """Let go of the lease however this process ends, so that the next one need not wait; another owner's stays."""
    state = StateWriter(settings.state_url)
    state.give_up_lease(LEASE, owner, clock())
    state.close()


@contextmanager
def held(settings: Settings) -> Iterator[Callable[[StateWriter], None]]:
    """Hold the lease inside the block, renewed in a thread of its own; given up at the end.

    Yields what takes it, to be called on the state that will write. A lease that was lost is seen by the next write: FencedOff.
    """
    owner, stop = owner_of(os.getpid()), threading.Event()

    def renew() -> None:
        state = StateWriter(settings.state_url)
        try:
            while not stop.wait(LEASE_SECONDS):
                state.take_lease(LEASE, owner, clock(), LEASE_TTL)
        except FencedOff:
            return
        finally:
            state.close()

    thread = threading.Thread(target=renew, name="lease", daemon=True)

    def take(state: StateWriter) -> None:
        free_left_behind(settings, state)
        wait_for_lease(state, owner, stop)
        thread.start()

    try:
        yield take
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()
        give_up_lease(settings, owner)
