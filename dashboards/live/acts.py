"""What a person can do from the Live page: to the rollout, to incidents that nobody has taken, to silences. Each act is confirmed and signed.

What may be done is read from the state (the transition table has the last word, in the control process); who may do it from the table of roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from controlplane.core.model import RolloutState, Verdict
from controlplane.core.roles import Permission
from dashboards import acting, answers, control
from dashboards.live.values import Quiet
from dashboards.shell import View
from dashboards.values import State
from dashboards.words import clock, percent, trigger_title

READ_ONLY = "Read-only: log in to act from here. `controlplane rollback` works where the control process runs."


@dataclass(frozen=True)
class Act:
    """An act on the rollout: its name in the control API, the words of its button, what follows, and what it takes."""

    name: str
    label: str
    consequence: str
    permission: Permission
    primary: bool = False


ROLLBACK = Act(
    "rollback",
    "Roll back now",
    "Every customer is served by the baseline at once and workflows stop. Only a person can start again, with another release.",
    Permission.CONTAIN,
    primary=True,
)
HOLD = Act(
    "hold",
    "Hold the ramp",
    "Nothing grows any more until a person goes on. Customers keep being served as now.",
    Permission.CONTAIN,
)
RESUME = Act(
    "resume",
    "Go on",
    "The ramp may grow again when its gate passes. Triggers that had fired begin again from no evidence.",
    Permission.GROW,
)
WORKFLOWS_OFF = Act(
    "disable-execution",
    "Switch workflows off",
    "The assistant keeps answering, but carries nothing out for customers any more until a person switches workflows on again.",
    Permission.CONTAIN,
)
WORKFLOWS_ON = Act(
    "enable-execution",
    "Switch workflows on",
    "The assistant carries out workflows for customers again, at the share that is served now.",
    Permission.GROW,
)


def offered(state: State) -> tuple[Act, ...]:
    """The acts that the rollout takes from a person now, the most urgent first."""
    rollout = state.rollout
    if rollout is None or rollout.state is RolloutState.ROLLED_BACK:
        return ()
    found = [ROLLBACK, RESUME if rollout.state is RolloutState.HELD else HOLD]
    found.append(WORKFLOWS_OFF if rollout.execution_enabled else WORKFLOWS_ON)
    following = answers.next_stage(state)
    if rollout.state is RolloutState.RUNNING and following is not None and _may_grow(state):
        grow = (
            f"{percent(rollout.share)} become {percent(following.share)} of the customers of phase {following.phase}. "
            "Your approval is recorded; where the policy asks for more than one person, it waits for the others."
        )
        found.append(Act("promote", f"Grow to {percent(following.share)}", grow, Permission.GROW))
    return tuple(found)


def _may_grow(state: State) -> bool:
    """Whether nothing but approvals is missing at the gate."""
    result = answers.gate(state)
    return result is not None and result.without("approvals").verdict is Verdict.PASS


def row(now: View) -> None:
    """The buttons, side by side; on a phone one below the other. What is not for an emergency is behind one more button."""
    acts = offered(now.state)
    waiting = [row for row in now.state.open_incidents if row.acknowledged_at is None and row.state != "resolved"][:2]
    if not acts and not waiting:
        return
    with st.container(horizontal=True, vertical_alignment="center", width="content", key="cp_acts"):
        for act in acts[:2]:
            _button(now, act)
        for incident in waiting:
            label = "Acknowledge" if len(waiting) == 1 else f"Acknowledge: {incident.title}"
            acting.button(
                now,
                f"acknowledge_{incident.incident_id}",
                label,
                f"You take the incident \u201c{incident.title}\u201d: who is called next is called no more, and everybody sees that you are on it.",
                Permission.RESPOND,
                acting.asked(
                    now,
                    "incident_act",
                    "The incident is acknowledged.",
                    incident=incident.incident_id,
                    event="acknowledge",
                ),
                primary=not acts,
            )
        if acts[2:]:
            with st.popover("More", key="more_acts"):
                for act in acts[2:]:
                    _button(now, act)
        if now.person.role is None:
            st.caption("Read-only", help=READ_ONLY)


def _button(now: View, act: Act) -> None:
    rollout = now.state.rollout
    assert rollout is not None
    version = rollout.version
    served = f"{rollout.release}, {rollout.phase} at {percent(rollout.share)}. "

    def send(actor: str, reason: str) -> control.Outcome:
        return control.act(now.config, act.name, actor, reason, version, now.person.role)

    acting.button(now, act.name, act.label, served + act.consequence, act.permission, send, primary=act.primary)


def in_force(now: View, quiet: Sequence[Quiet]) -> None:
    """Silences and overrides in force, each with its end; a silence can be ended here."""
    moment = now.state.meta.now
    active = [one for one in quiet if one.active(moment)]
    if not active:
        return
    with st.container(border=True, key="cp_in_force"):
        for one in active:
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.html(_standing(one, now))
                if one.kind == "silence":
                    acting.button(
                        now,
                        f"end_{one.key}",
                        "End silence",
                        f"Alerts with {one.what} are told to people again from now on.",
                        Permission.RESPOND,
                        acting.asked(now, "silence_end", "The silence is ended.", silence_id=one.key),
                    )


def _standing(one: Quiet, now: View) -> str:
    until = clock(one.until, now.state.meta.now)
    if one.kind == "silence":
        what = f"Silenced until {until}: alerts with {one.what}"
    else:
        what = f"Set aside until {until}: {trigger_title(one.what)} pages a person instead of acting"
    return f'<div><b>{escape(what)}</b><div class="cp-small">{escape(one.who)}: {escape(one.why)}</div></div>'


def mark(state: State, quiet: Sequence[Quiet]) -> tuple[object, ...]:
    """What the buttons were drawn from; when it changes they are drawn again."""
    rollout = state.rollout
    incidents = tuple((row.incident_id, row.state, row.acknowledged_at) for row in state.open_incidents)
    active = tuple(one.key for one in quiet if one.active(state.meta.now))
    return (rollout.rollout_id, rollout.version) if rollout else None, incidents, active, _names(offered(state))


def _names(acts: Sequence[Act]) -> tuple[str, ...]:
    return tuple(act.name for act in acts)
