"""Drills: incidents of the catalogue, each from log lines to verified containment in a workspace of its own.

`rehearse` carries out one incident and says what was seen and which expectations were not met.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

from controlplane.core.judge import AUTOMATIC
from controlplane.core.policy import PolicyError
from controlplane.simulation.incidents import (
    AUTHOR,
    Act,
    ApplyPolicy,
    Change,
    ConfirmMisrouting,
    Deploy,
    Incident,
    LogsLost,
    Naive,
    OnCall,
    Promote,
    Restart,
    RestoreFacts,
    SecondProcess,
    SetAside,
    Silence,
    SlackDown,
    StartWith,
    StateFails,
    StateLocked,
    SwapArms,
)
from controlplane.store.queries import load
from controlplane.store.utc import to_naive
from jobs import actions
from jobs.drill_checks import ACTS, Seen, failures, look
from jobs.drill_stage import BEGIN, Stage, amended, stage
from jobs.drill_two import two_processes

VERIFY_AFTER = 1 / 6  # minutes from a cut to the heartbeat that verifies it: longer than the clients' poll limit
_QUERY = {Naive.ESCALATIONS_SO_FAR: "drill/escalations_so_far", Naive.RATINGS_COMING_IN: "drill/ratings_coming_in"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One drill: what was seen (None when it broke off), what was not as expected (empty: all well), and how long it took in seconds."""

    incident: Incident
    seen: Seen | None
    failures: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every expectation was met."""
        return not self.failures


def rehearse(incident: Incident, home: Path, progress: Callable[[float], None] = lambda _part: None) -> Outcome:
    """Carry out one incident in the new folder `home`; `progress` gets the part of the story told so far, 0 to 1."""
    began = time.monotonic()
    refusals: list[str] = []
    naive: list[float] = []
    with stage(incident, home) as on:
        unseen, looked = _unseen(incident), on.now
        for minute in _beats(incident):
            if _over(on):
                break
            if minute <= on.minute and all(act.at != minute for act in incident.acts):
                continue  # behind a cut the story is a little ahead of its beats
            known = 0 if on.down else _acted(on)
            if minute in unseen:
                on.customers(minute)
            else:
                on.live(minute)
                if incident.naive is not None:
                    naive.append(_naive(on, incident.naive, to_naive(looked)))
                looked = on.now
            for act in incident.acts:
                if act.at == minute:
                    refusals += perform(on, act)
                if isinstance(act, RestoreFacts) and act.since == minute:
                    on.copy_facts(minute)
            progress(minute / incident.minutes)
            if not on.down and _acted(on) > known:
                on.live(on.minute + VERIFY_AFTER)
        on.deliver_rest()
        seen = look(on, max(naive) if naive else None, refusals + on.problems)
    return Outcome(incident, seen, tuple(failures(incident, seen)), time.monotonic() - began)


def _unseen(incident: Incident) -> set[float]:
    """Minutes at which only the customers' fate changes: nothing is to be judged yet, so the heartbeat behind them sees it all."""
    changes = {act.at for act in incident.acts if isinstance(act, Change | SwapArms)}
    others = _points(
        replace(incident, acts=tuple(act for act in incident.acts if not isinstance(act, Change | SwapArms)))
    )
    return changes - others - {*_regular(incident)[1:], incident.minutes}


def _beats(incident: Incident) -> Sequence[float]:
    """Minutes of the story at which something happens: every act, and regularly a heartbeat from the first of them on."""
    return sorted(_points(incident) | {*_regular(incident), incident.minutes})


def _points(incident: Incident) -> set[float]:
    points = {act.at for act in incident.acts} | {a.since for a in incident.acts if isinstance(a, RestoreFacts)}
    return points | {*incident.looks, *(act.until for act in incident.acts if isinstance(act, LogsLost))}


def _regular(incident: Incident) -> list[float]:
    first = min(_points(incident), default=incident.beat / 60)
    count = int((incident.minutes - first) * 60 / incident.beat)
    return [first + number * incident.beat / 60 for number in range(count + 1)]


def _acted(on: Stage) -> int:
    """How often the machine has acted on the rollout so far: each time is looked at once more, when customers have seen it."""
    return sum(row["actor"] == AUTOMATIC and row["event"] in ACTS for row in on.deps.state.audit_rows())


def _over(on: Stage) -> bool:
    """A verified cut ends the story, unless it says otherwise."""
    if on.incident.whole or on.down:
        return False
    rollout = on.deps.state.rollout()
    return rollout is not None and on.deps.state.cut_verified_at(rollout.rollout_id) is not None


def perform(on: Stage, act: Act) -> list[str]:
    """Carry out one act; what went otherwise than the act says, in words."""
    match act:
        case Change():
            on.change(act.arms, dict(act.to))
        case Promote():
            return _promote(on, act)
        case Deploy():
            actions.deploy(on.deps.state, on.policy, act.what, AUTHOR, on.now)
        case Silence():
            on.silence(act.until)
        case Restart():
            on.restarts = True
        case SecondProcess():
            return two_processes(on)
        case RestoreFacts():
            on.restore_facts(act.since)
        case StartWith():
            return _start_with(on, act)
        case ApplyPolicy():
            on.apply_policy(act.old, act.new)
        case StateFails():
            on.state_fails(act.until)
        case StateLocked():
            on.state_locked(act.until, whole=act.whole)
        case SlackDown():
            on.slack_down(act.until)
        case LogsLost():
            on.logs_lost(act.until)
        case OnCall():
            on.on_call(act.what)
        case SetAside():
            on.set_aside(act.trigger, act.minutes)
        case SwapArms():
            on.lines.swapped = True
        case ConfirmMisrouting():
            on.confirm_misrouting(act.severity)
        case _:
            raise TypeError(f"no drill knows how to do {act!r}")
    return []


def _promote(on: Stage, act: Promote) -> list[str]:
    try:
        actions.promote(on.deps, act.actor, "drill", on.now)
    except actions.Refused as refused:
        if not act.refused:
            return [f"promotion at minute {act.at:g} was refused: {refused}"]
        return [] if act.refused in str(refused) else [f"refused otherwise than expected ({act.refused}): {refused}"]
    return [f"promotion at minute {act.at:g} was granted; it must be refused: {act.refused}"] if act.refused else []


def _start_with(on: Stage, act: StartWith) -> list[str]:
    try:
        amended(on.policy.text, ((act.old, act.new),), "changed.toml")
    except PolicyError as error:
        return [] if act.refused in str(error) else [f"refused otherwise than expected ({act.refused}): {error}"]
    return [f"a policy with {act.new!r} was accepted; it must be refused: {act.refused}"]


def _naive(on: Stage, rule: Naive, since: Any) -> float:
    """Standard errors by which the treated arm looks worse, the way a pooled z-test sees it; 0 without data."""
    parameters = {"since": since} if rule is Naive.RATINGS_COMING_IN else {}
    with on.deps.warehouse.cursor() as cursor:
        n_t, x_t, n_c, x_c = (int(value) for value in cursor.execute(load(_QUERY[rule]), parameters).fetchall()[0])
    if not n_t or not n_c or not 0 < x_t + x_c < n_t + n_c:
        return 0.0
    pooled = (x_t + x_c) / (n_t + n_c)
    return (x_t / n_t - x_c / n_c) / sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c))


__all__ = ["BEGIN", "Outcome", "perform", "rehearse"]
