"""The Rollout page's view of blind spots: what each trigger sees in each stage, as a table and a picture."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from controlplane.core.forecast import Expected, Plan
from controlplane.core.policy import Policy, Trigger
from controlplane.core.roles import Permission
from dashboards import export, filters, tasks, ui
from dashboards.rollout import blind as rollout_blind
from dashboards.rollout import charts as charts_rollout
from dashboards.rollout import data as data_rollout
from dashboards.rollout import whatif as rollout_whatif
from dashboards.shell import View
from dashboards.words import percent, title_of, trigger_title

MOST = 1_000_000.0


def show(now: View, policy: Policy) -> None:
    """Traffic, verdict, matrix, curve, gates."""
    ui.section(
        "What would go unseen?",
        "The smallest harm that each trigger finds before the stage's gate may open, when, and how many customers it has reached by then:"
        " the forecast of `controlplane policy plan`. Half of such harms are found sooner.",
    )
    known = _traffic(now, policy)
    if known is None:
        ui.empty(
            "No traffic to forecast for yet.",
            f"Type how many eligible conversations a minute you expect, or wait for {rollout_blind.FEWEST_UNITS} of them.",
        )
        return
    plan, smallest = data_rollout.forecast(policy, known), data_rollout.smallest(policy, known)
    assert plan is not None
    said, tone = rollout_blind.headline(policy, smallest)
    st.html(
        f"<p>{ui.chip({'good': 'Covered', 'wait': 'Blind spots', 'quiet': 'Nothing to say'}[tone], tone)} {said}</p>"
    )
    if smallest:
        st.html(rollout_blind.matrix(policy, smallest))
        st.caption(
            "Blind: not even the largest harm there is would be found before that gate. Harm that begins at any time; streams of all traffic."
        )
        _curve(now, policy, plan.expected)
    _gates(plan)
    params = data_rollout.traffic_params(now.state.meta.now)
    counts = data_rollout.traffic(*now.at, now.state.meta.now)
    export.offer("traffic", counts, "pages/rollout_traffic", params, "What the traffic of the forecast is made from.")


def _traffic(now: View, policy: Policy) -> Expected | None:
    """The traffic to forecast for: from the facts where somebody asked for it, else from the snapshot, else stated; a typed pace replaces theirs."""
    known = data_rollout.known_traffic(now, policy)
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with right:
        tasks.failed("traffic")
        told = tasks.button(now, "traffic", "Measure on the facts", "rollout_traffic", {}, Permission.LOOK)
    if told is not None:
        known = Expected(**{**told, "ratings": tuple(told["ratings"])})
    with left:
        value = filters.typed(
            "traffic",
            "Eligible conversations a minute",
            f"{known.per_minute:.0f} (measured)" if known else "for example 40",
            "Leave it empty for what was measured; another figure shows the plan for another traffic.",
        )
    asked = _number(value)
    if value and asked is None:
        st.error("Type a number of conversations a minute, for example 40.")
    if asked is not None:
        base = known or Expected(
            per_minute=asked, rated_share=policy.traffic.rated_share, audited_share=policy.traffic.audited_share
        )
        return replace(base, per_minute=asked, source="the typed traffic")
    if known is not None:
        st.caption(
            f"From {known.source}: {known.per_minute:,.0f} a minute, {percent(known.low_risk_share)} of them low-risk,"
            f" {percent(known.rated_share)} rated, {percent(known.audited_share)} of the assistant's audited."
        )
    return known


def _number(text: str) -> float | None:
    try:
        found = float(text.replace(",", ""))
    except ValueError:
        return None
    return found if 0 < found <= MOST else None


def _curve(now: View, policy: Policy, traffic: Expected) -> None:
    """Time to detect by size of harm, for one trigger."""
    names = tuple(trigger.name for trigger in policy.triggers)
    ui.section(
        "How fast, for a harm of which size?",
        "Time from the beginning of a harm to the alarm, per stage. Full dots: while the stage lasts.",
    )
    name = filters.pick("trigger", "Trigger", names, names[0], trigger_title)
    trigger = next(one for one in policy.triggers if one.name == name)
    frame = rollout_blind.curve(policy, traffic, trigger)
    if frame.is_empty():
        ui.empty(
            "At this traffic it finds nothing in any stage.", "Give it a larger weight, a longer stage or more labels."
        )
        return
    unit, scale = rollout_whatif.unit(trigger), rollout_whatif.shown(trigger, 1.0)
    chart = charts_rollout.detection(frame, f"{harm_words(trigger)}: {unit}", scale, now.colours)
    ui.figure(chart, f"Time to detect {trigger_title(name)} by size of harm and stage", "curve")


def harm_words(trigger: Trigger) -> str:
    """What the horizontal axis is."""
    return title_of(trigger.metric)


def _gates(plan: Plan) -> None:
    rows = rollout_blind.gate_rows(plan.gates)
    if rows:
        ui.section(
            "What gates ask of this traffic",
            "While both arms are alike: when it is there, with how many customers of the assistant.",
        )
        ui.table(("Gate", "Asks for", "There after", "Customers", "Compared with the least time"), rows, numeric=(2, 3))
    with st.expander("What the forecast assumes"):
        st.markdown("\n".join(f"- {line[:1].upper()}{line[1:]}." for line in plan.notes))
