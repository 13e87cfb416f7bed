"""Rollout: where the release stands on its ladder, what the next gate asks, what the policy cannot see, what a change of it would do."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from controlplane.core.metrics import METRICS
from controlplane.core.model import RolloutState
from controlplane.core.policy import Policy
from controlplane.core.roles import Permission
from dashboards import acting, answers, control, data, export, filters, ui
from dashboards.control import Outcome
from dashboards.rollout import charts as charts_rollout
from dashboards.rollout import data as data_rollout
from dashboards.rollout import gates as rollout_gates
from dashboards.rollout import ladder as rollout_ladder
from dashboards.rollout import show_backtest as rollout_show_backtest
from dashboards.rollout import show_blind as rollout_show_blind
from dashboards.rollout import show_policy as rollout_show_policy
from dashboards.rollout import show_whatif as rollout_show_whatif
from dashboards.rollout.gates import Progress
from dashboards.shell import View, view
from dashboards.words import duration, percent, stamp, title_of

GATE, BLIND, POLICY, BACKTEST, WHAT_IF = "gate", "blind-spots", "policy", "backtest", "what-if"
TITLES = {GATE: "Gate", BLIND: "Blind spots", POLICY: "Policy", BACKTEST: "Backtest", WHAT_IF: "What if"}
APPROVAL = "Approved by a person"


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    acting.outcome()
    ui.hero(rollout_ladder.headline(now.state))
    policy = _policy(now)
    if policy is None:
        ui.empty(
            "No policy has been registered yet.",
            "`controlplane policy explain FILE` says what a policy does, `controlplane policy plan FILE` what it cannot see;"
            " `controlplane release start NAME --policy FILE` registers it with the first release.",
        )
        return
    approvals = data_rollout.approvals(*now.at)
    st.html(rollout_ladder.html(rollout_ladder.rungs(now.state, policy, approvals)))
    chosen = filters.pick("view", "Show", tuple(TITLES), GATE, TITLES.__getitem__)
    if chosen == GATE:
        _gate(now, policy)
    elif chosen == BLIND:
        rollout_show_blind.show(now, policy)
    elif chosen == POLICY:
        rollout_show_policy.show(now, policy)
    elif chosen == BACKTEST:
        rollout_show_backtest.show(now, policy)
    else:
        rollout_show_whatif.show(now, policy)


def _policy(now: View) -> Policy | None:
    """The policy of the rollout; without one the newest that was registered."""
    if now.state.policy is not None:
        return now.state.policy
    if now.state.rollout is not None:
        return None
    return next((one.policy for one in data_rollout.policies(*now.at) if one.policy is not None), None)


def _gate(now: View, policy: Policy) -> None:
    """The gate line by line with the act that opens it, its certificates, the gates ahead, and how it came here."""
    following = answers.next_stage(now.state)
    rollout = now.state.rollout
    if rollout is not None and rollout.state is not RolloutState.ROLLED_BACK and following is not None:
        said = answers.answer(now.state)
        ui.section(
            f"What the step to {percent(following.share)} asks",
            "Each requirement on its own; the worst of them speaks for the gate, and what is not known is not met.",
        )
        if said.lines:
            ui.requirements(sorted(said.lines, key=lambda line: line.tone == answers.GOOD))
            _promote(now, said, following.share)
        _certificates(now)
    elif rollout is not None and rollout.state is RolloutState.ROLLED_BACK:
        _stopped(now, policy)
    _ahead(now, policy)
    _history(now, policy)


def _stopped(now: View, policy: Policy) -> None:
    """What took it off the ladder, and what the next start takes."""
    ui.section("What stopped it", "From the likely onset to the verified cut. Times in UTC.")
    rollout = now.state.rollout
    mine = [
        row
        for row in now.state.incidents
        if rollout is not None and row.rollout_id == rollout.rollout_id and row.cut_at
    ]
    for incident in mine[-1:]:
        with st.container(border=True):
            st.html(ui.incident_head(incident))
            ui.containment(incident)
            st.caption(ui.exposed(incident)[:1].upper() + ui.exposed(incident)[1:] + ".")
    if not mine and rollout is not None:
        st.write(rollout.reason)
    steps = rollout_ladder.next_start(policy, mine[-1].state if mine else "")
    st.html(
        f'<p class="cp-title">Before the next release starts</p><ul class="cp-prose">{"".join(f"<li>{ui.prose(line)}</li>" for line in steps)}</ul>'
    )


def _promote(now: View, said: answers.Answer, share: float) -> None:
    """Approve and go on; grey while something else than an approval is missing."""
    rollout = now.state.rollout
    assert rollout is not None
    shut = [line for line in said.lines if line.tone != answers.GOOD and line.name != APPROVAL]
    label = f"Approve and go to {percent(share)}"
    if rollout.state is not RolloutState.RUNNING:
        st.caption("The ramp is held: it is resumed on the Live page before anybody can let it grow.")
        return
    if shut:
        st.button(label, disabled=True, key="shut", help=f"Still missing: {'; '.join(line.gap for line in shut)}.")
        st.caption("It opens by itself once everything but a person's approval is there.")
        return

    def send(actor: str, reason: str) -> Outcome:
        return control.act(now.config, "promote", actor, reason, rollout.version, now.person.role)

    consequence = (
        f"{rollout.release} goes from {percent(rollout.share)} to {percent(share)}. The control process judges the gate once more and"
        " refuses if anything has changed. Your approval is recorded; the author of the release does not count."
    )
    acting.button(now, "promote", label, consequence, Permission.GROW, send, primary=True)


def _certificates(now: View) -> None:
    """A card per certificate of the gate: interval against the margin over time, evidence, and when it may be there."""
    wanted, since = rollout_gates.named(now.state), rollout_gates.since(now.state)
    if not wanted or since is None or now.state.policy is None or now.state.rollout is None:
        return
    ui.section(
        "What must be shown",
        f"Assistant minus {now.baseline} since {stamp(since)[:16]} UTC, final labels only; 95 % interval that holds however often you look."
        " A certificate is there when the evidence is complete; the interval then stays on the good side of the red margin.",
    )
    until = now.state.meta.now
    width = data.bin_for(until - since, bins=40)
    metrics = tuple(dict.fromkeys(item.metric for item in wanted))
    sums = data.trend(*now.at, metrics, since, until, width)
    plan = data_rollout.forecast(now.state.policy, data_rollout.known_traffic(now, now.state.policy))
    gates = rollout_gates.ahead(now.state.policy, plan, now.state.rollout.stage)
    grid = st.grid(columns=len(wanted), min_column_width=330, border=True, key="grid_certificates")
    for item in wanted:
        one = rollout_gates.progress(now.state, item, sums, timedelta(seconds=width))
        with grid.cell():
            _card(now, one, rollout_gates.likely(gates.get(item.name)))
    params = {"metrics": list(metrics), "since": since, "until": until, "bin_seconds": width}
    export.offer(
        "certificates",
        sums,
        "pages/trend",
        params,
        "Sums per bin and arm; the page adds them up from the first bin on.",
    )


def _card(now: View, one: Progress, likely: str) -> None:
    metric = METRICS[one.certificate.metric]
    title = title_of(metric.name)
    word = ui.chip("Certified", "good") if one.certified else ui.chip("Not yet", "wait")
    st.html(ui.head(f"{title}: not worse by {answers.margin_text(one.certificate)}", word))
    if one.path.is_empty():
        wait = duration(timedelta(minutes=one.certificate.maturity_minutes))
        why = f"Labels are final after {wait}." if one.certificate.maturity_minutes else "Both arms need conversations."
        st.caption(f"No interval yet: too few final labels in this stage. {why}")
    else:
        alt = f"{title}, assistant minus {now.baseline}: {rollout_gates.interval_text(one)}; margin {answers.margin_text(one.certificate)}"
        chart = charts_rollout.certificate(one.path, one.bound, metric.unit, now.colours)
        ui.figure(chart, alt, f"certificate_{one.certificate.name}")
    width = round(100 * one.part)
    bar = f'<div class="cp-bar" role="img" aria-label="{width} % of the evidence"><span style="width:{width}%"></span></div>'
    shown = "" if one.path.is_empty() else rollout_gates.interval_text(one)
    parts = [rollout_gates.evidence_text(one).capitalize(), shown, "" if one.certified else likely]
    st.html(f'{bar}<div class="cp-small cp-note">{"<br>".join(part for part in parts if part)}</div>')


def _ahead(now: View, policy: Policy) -> None:
    """Every gate of the policy with what it asks, and when that is there at the traffic that was measured."""
    plan = data_rollout.forecast(policy, data_rollout.known_traffic(now, policy))
    pace = "" if plan is None else f"{plan.expected.per_minute:,.0f} eligible conversations a minute"
    source = f" Forecast for arms that are alike, at {pace}." if pace else ""
    ui.section("Every gate on the way", f"What must be there before each next step.{source}")
    rows = []
    for stage, following in zip(policy.stages, policy.stages[1:], strict=False):
        gates = rollout_gates.ahead(policy, plan, stage.index)
        slow = max((gate.minutes or float("inf") for gate in gates.values()), default=None)
        rows.append(rollout_gates.gate_row(policy, stage, following, slow))
    head = ("From", "To", "Least time", "Customers", "Certificates", "Reviewed", "Approvals", "Likely open after")
    ui.table(head, rows, numeric=(2, 3, 5, 6, 7))


def _history(now: View, policy: Policy) -> None:
    rows = rollout_ladder.history_rows(now.state, policy, data_rollout.approvals(*now.at))
    ui.section("How it came here", "Every change of what is served, newest first. Times in UTC.")
    if not rows:
        ui.empty(
            "Nothing has been started yet.", "`controlplane release start NAME --actor YOU` is the first line here."
        )
        return
    ui.table(("When", "Release", "What", "Step", "Lasted", "Who"), rows[:12], numeric=(4,), when=(0,))
    if len(rows) > 12:
        with st.expander(f"{len(rows) - 12} older changes"):
            ui.table(("When", "Release", "What", "Step", "Lasted", "Who"), rows[12:200], numeric=(4,), when=(0,))


main()
