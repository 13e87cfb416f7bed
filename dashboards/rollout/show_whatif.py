"""The Rollout page's view of what-ifs: another limit or weight of one trigger, on everything that was recorded. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from html import escape
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.policy import Policy, Trigger
from controlplane.core.what_if import LEAST_WEIGHT, MOST_WEIGHT, changed
from dashboards import control, filters, ui
from dashboards.rollout import charts as charts_rollout
from dashboards.rollout import data as data_rollout
from dashboards.rollout import whatif as rollout_whatif
from dashboards.rollout.blind import limit_text
from dashboards.shell import View
from dashboards.words import duration, percent, trigger_title

SAFE = "A what-if changes nothing: no policy, no rollout, no record."


def show(now: View, policy: Policy) -> None:
    """Question, answer from history, error budget, what to write."""
    ui.section(
        "What if a trigger were stricter, or looser?",
        f"Move its limit or its part of the error budget and see when it would have fired on everything recorded. {SAFE}",
    )
    asked = _question(now, policy)
    if asked is None:
        return
    trigger, limit, weight = asked
    try:
        other = changed(policy, trigger.name, limit, weight)
    except ValueError as error:
        st.error(f"That cannot be: {error}.")
        return
    arguments = {"trigger": trigger.name, "limit": limit, "weight": weight}
    reply = control.ask(now.config, now.person.role, "rollout_what_if", arguments)
    if reply.done and reply.answer is not None and reply.answer["policy_hash"] == policy.hash:
        _answer(now, trigger, reply.answer)
    elif reply.done:
        st.error("The control process judges by another policy now; the page follows with the next snapshot.")
    else:
        ui.empty("The recorded evidence is asked of the control process.", reply.text)
    _budget(now, policy, other)
    if (limit, weight) != (trigger.limit, trigger.weight):
        _write(trigger, limit, weight)


def _question(now: View, policy: Policy) -> tuple[Trigger, float, float] | None:
    """Trigger, limit and weight; all stand in the address. Without one there: the trigger of the newest incident, which has most to tell."""
    names = tuple(one.name for one in policy.triggers)
    told = (one.trigger for one in reversed(now.state.incidents) if one.trigger in names)
    name = filters.pick("trigger", "Trigger", names, next(told, names[0]), trigger_title)
    trigger = next(one for one in policy.triggers if one.name == name)
    today = rollout_whatif.shown(trigger, trigger.limit)
    left, right, _rest = st.columns([1, 1, 1])
    with left:
        limit = _number(
            f"limit_{name}", f"Limit, {rollout_whatif.unit(trigger)}", today, max(today / 20, 0.01), "limit"
        )
    with right:
        weight = _number(f"weight_{name}", "Part of the error budget, percent", trigger.weight * 100, 1.0, "weight")
    st.caption(
        f"In force: {limit_text(trigger)}, {percent(trigger.weight)} of the error budget of {policy.budget.false_rollback:.1%}."
    )
    if limit is None or weight is None:
        st.error("Type a limit and a part of the error budget.")
        return None
    if not LEAST_WEIGHT <= weight / 100 <= MOST_WEIGHT:
        st.error(f"The part of the error budget lies between {LEAST_WEIGHT:.1%} and {MOST_WEIGHT:.1%}.")
        return None
    exact = trigger.limit if abs(limit - today) < 1e-9 else rollout_whatif.typed(trigger, limit)
    return trigger, exact, trigger.weight if abs(weight - trigger.weight * 100) < 1e-9 else weight / 100


def _number(key: str, label: str, today: float, step: float, param: str) -> float | None:
    """A number whose value stands in the address while it is not the one in force."""
    try:
        start = float(st.query_params.get(param, today))
    except ValueError:
        start = today
    found = st.number_input(
        label, min_value=0.0, value=max(start, 0.0), step=float(f"{step:.1g}"), format="%0.4g", key=f"whatif_{key}"
    )
    if found is not None and abs(found - today) > 1e-9:
        st.query_params[param] = f"{found:g}"
    elif param in st.query_params:
        del st.query_params[param]
    return None if found is None else float(found)


def _answer(now: View, trigger: Trigger, answer: Mapping[str, Any]) -> None:
    """What history says: one sentence, the evidence over time of one rollout, all rollouts as a table."""
    said, word, tone = rollout_whatif.summary(answer, trigger)
    st.html(f'<div class="cp-hero cp-edge-{tone}"><p>{ui.chip(word, tone)} <b>{escape(said)}</b></p></div>')
    found = rollout_whatif.told(answer)
    if not found:
        ui.empty(
            "Nothing was recorded for this trigger.",
            "Its first block closes some minutes after a release starts; look again then.",
        )
        return
    ids = tuple(one["rollout_id"] for one in found)
    releases = {one["rollout_id"]: one["release"] for one in found}
    harmed = next((one["rollout_id"] for one in found if one["now"] or one["then"]), ids[0])
    chosen = filters.pick("rollout", "Release", ids, harmed, releases.__getitem__) if len(ids) > 1 else ids[0]
    one = next(item for item in found if item["rollout_id"] == chosen)
    points = rollout_whatif.points(one)
    lines = '<i></i>what if<i class="cp-dash"></i>as it is'
    if rollout_whatif.same(answer):
        points, lines = points.filter(pl.col("which") == rollout_whatif.OTHER), "<i></i>as it is"
    about = "red: the alarm \u00b7 evidence of all traffic over its threshold \u00b7 times in UTC"
    st.html(f'<div class="cp-legend">{lines} \u00b7 {about}</div>')
    alt = f"Evidence of {trigger_title(trigger.name)} on {one['release']}: {rollout_whatif.verdict(one)[0]}"
    ui.figure(charts_rollout.evidence(points, now.colours), alt, "whatif_evidence")
    if one["acted"] is not None and one["then"] is not None:
        st.caption(
            "Behind the first alarm that acts, traffic would have been cut: what the line shows there would never have happened."
        )
    head = ("Release", "Blocks", "What happened", "Alarm as it is", "Alarm with the change", "Difference")
    ui.table(head, rollout_whatif.rows(answer, now.state.meta.now), numeric=(1,))
    st.caption(rollout_whatif.exact(answer))
    if trigger.judged:
        st.caption(
            "The share of answers that is judged rises with suspicion; with another limit other answers would have been judged."
        )


def _budget(now: View, policy: Policy, other: Policy) -> None:
    """What the change does to the promise and to everybody's sight."""
    ui.section(
        "What it costs",
        f"All triggers share one promise: a sound release is stopped with a probability of at most {policy.budget.false_rollback:.1%}."
        " Who gets a larger part sees sooner; the others give it up in proportion.",
    )
    traffic = data_rollout.known_traffic(now, policy)
    before, after = data_rollout.smallest(policy, traffic), data_rollout.smallest(other, traffic)
    if not before:
        st.caption("No traffic was measured yet, so it cannot be said what would be seen when.")
        return
    rollout = now.state.rollout
    customers = [stage for stage in policy.stages if stage.audience != "employees"]
    stage = next(
        (one for one in customers if rollout is not None and one.index == rollout.stage),
        customers[0] if customers else None,
    )
    rows = [] if stage is None else rollout_whatif.budget_rows(policy, other, before, after, stage.index)
    if not rows:
        st.caption("Nothing is changed yet: move the limit or the part of the error budget above.")
        return
    assert stage is not None
    where = f"in {stage.phase} at {percent(stage.share)}"
    ui.table(
        ("Trigger", "Limit", "May fire falsely", f"Smallest harm found {where}: now", "then"),
        rows,
        numeric=(1, 2, 3, 4),
    )
    least = duration_of(policy, stage.phase)
    st.caption(
        f"Smallest harm found within the stage's least time{least}, at the traffic that was measured; as on Blind spots."
    )


def duration_of(policy: Policy, phase: str) -> str:
    """` (20 min)`, or nothing where the phase has no least time."""
    minutes = policy.phase(phase).min_minutes
    return f" ({duration(timedelta(minutes=minutes))})" if minutes else ""


def _write(trigger: Trigger, limit: float, weight: float) -> None:
    with st.expander("How to really change it"):
        st.markdown(
            "A policy changes by a new text that people review: edit the file, then `controlplane policy lint FILE`,"
            " `controlplane policy diff in-force FILE`, and backtest it. The weights of all triggers must sum to 1."
        )
        st.code(rollout_whatif.snippet(trigger, limit, weight), language="toml")
