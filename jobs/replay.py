"""Replays a file of real customer messages through the exposure decision and the two arms, with a progress bar on stderr.

What serves and where the records go is handed in by the composition root; ids carry the time of the replay, so that the same
file can be replayed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from controlplane.assistant.protocols import Responder
from controlplane.assistant.record import Record
from controlplane.simulation.messages import read_messages
from controlplane.simulation.replay import ReplayCounts, ReplayPlan, replay_messages
from controlplane.simulation.service_desk import Expose, Screener
from jobs.console import stderr


@dataclass(frozen=True, slots=True)
class ReplayParts:
    """What a replay works with: the two arms, the exposure decision, the policy's low-risk intents, the landing and the clock."""

    assistant: Screener
    menu: Responder
    expose: Expose
    low_risk_intents: frozenset[str]
    write: Callable[[list[Record]], object]
    clock: Callable[[], datetime]


def run(
    file: Path, parts: ReplayParts, *, text_column: str | None = None, limit: int | None = None, seed: int = 7
) -> ReplayCounts:
    """Sends every message of the file. Raises `controlplane.simulation.messages.MessagesError` for a file that cannot be used."""
    texts = read_messages(file, text_column, limit)
    plan = ReplayPlan(f"replay-{parts.clock():%Y%m%dT%H%M%S%f}", seed, parts.low_risk_intents)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("replaying", total=len(texts))
        return replay_messages(
            texts,
            plan,
            assistant=parts.assistant,
            menu=parts.menu,
            expose=parts.expose,
            clock=parts.clock,
            write=parts.write,
            on_progress=lambda sent: bar.update(task, completed=sent),
        )
