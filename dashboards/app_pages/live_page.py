"""Live, for on-call: what is served now, each trigger's evidence against its threshold, containment, and the way to act."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.metrics import METRICS
from controlplane.core.model import MetricKind
from controlplane.store.snapshot import NoSnapshot
from controlplane.store.state_rows import IncidentRow
from dashboards import answers, charts, control, data, frames, measures, shell, ui, windows
from dashboards.config import REFRESH_SECONDS
from dashboards.shell import View, view
from dashboards.words import clock, count_text, duration, percent, stamp, trigger_title, value_text

FAILURES = ("request_error_rate", "timeout_rate", "api_error_rate", "dependency_failure_rate")
LABELS = {"hold": "Hold the ramp", "resume": "Go on", "rollback": "Roll back now"}
READ_ONLY = "Start the dashboards with CONTROLPLANE_URL and CONTROLPLANE_TOKEN to act from here; `controlplane rollback` works where it runs."
CONSEQUENCES = {
    "hold": "Nothing grows any more until a person goes on. Customers keep being served as now.",
    "resume": "The ramp may grow again when its gate passes. Triggers that had fired begin again from no evidence.",
    "rollback": "Every customer is served by the baseline at once and workflows stop. Only a person can start again, with another release.",
}


def main() -> None:
    """Config, then what stands still (the actions), then what moves by itself."""
    now = view()
    _outcome()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        choice = _window_choice()
        _actions(now)
    _moving(choice)


@st.fragment(run_every=REFRESH_SECONDS)
def _moving(choice: str) -> None:
    """Data, figures, page: again every few seconds, from the newest snapshot."""
    now = shell.look()
    if isinstance(now, NoSnapshot):
        ui.empty("Nothing has been published yet.", str(now))
        return
    until = now.state.meta.now
    since = max(until - windows.LIVE[choice], now.state.first or until - windows.LIVE[choice])
    _now(now)
    _incidents(now)
    if now.state.meta.newest is None:
        ui.empty(
            "No traffic yet.",
            "As soon as a producer sends records (`controlplane ingest FILE`, OTLP, `make demo`), they are judged and shown here.",
        )
        return
    _triggers(now, since)
    ui.section("Service", f"Last {choice}. Eligible conversations.")
    ui.legend(now.baseline)
    _latency(now, since, until)
    _failures(now, since, until)
    _decisions(now)
    _intake(now)


def _outcome() -> None:
    """What became of the last thing that was asked for here."""
    done = st.session_state.pop("outcome", None)
    if done is not None:
        (st.success if done.done else st.error)(done.text)


def _actions(now: View) -> None:
    """Hold, go on, roll back: asked for here, confirmed, carried out by the control process."""
    rollout = now.state.rollout
    actions = control.allowed(rollout.state) if rollout else ()
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
        if actions and not now.config.may_act:
            st.caption("Read-only: no token of the control process.", help=READ_ONLY)
        for action in actions:
            kind: Any = "primary" if action == "rollback" else "secondary"
            if st.button(LABELS[action], type=kind, disabled=not now.config.may_act, key=f"ask_{action}"):
                _confirm(now, action)


@st.dialog("Please confirm")
def _confirm(now: View, action: str) -> None:
    rollout = now.state.rollout
    assert rollout is not None
    st.markdown(f"**{LABELS[action]}**: {rollout.release}, {rollout.phase} at {percent(rollout.share)}")
    st.write(CONSEQUENCES[action])
    actor = st.text_input("Your name (goes into the audit log)", key="confirm_actor")
    reason = st.text_input("Reason", key="confirm_reason")
    ready = bool(actor.strip() and reason.strip())
    if st.button(f"Yes, {LABELS[action].lower()}", type="primary", disabled=not ready, key="confirm_yes"):
        st.session_state["outcome"] = control.act(now.config, action, actor.strip(), reason.strip(), rollout.version)
        st.rerun()


def _window_choice() -> str:
    asked = st.query_params.get("window", "6 h")
    choice = st.segmented_control(
        "Window",
        list(windows.LIVE),
        default=asked if asked in windows.LIVE else "6 h",
        required=True,
        key="live_window",
    )
    st.query_params["window"] = choice
    return choice


def _now(now: View) -> None:
    """Who is served what, in four figures."""
    state, rollout = now.state, now.state.rollout
    grid = st.grid(columns=4, min_column_width=170, key="grid_now")
    with grid.cell():
        if rollout is None:
            ui.tile("State", "No rollout", "everyone is served by the baseline", "quiet")
        else:
            since = f"since {clock(rollout.updated_at, state.meta.now)}"
            ui.tile("State", ui.STATE_WORDS[rollout.state], since, ui.STATE_TONES[rollout.state])
    with grid.cell():
        share = percent(rollout.share) if rollout else "0 %"
        note = (
            f"{rollout.release}, {rollout.phase}; workflows {'on' if rollout.execution_enabled else 'off'}"
            if rollout
            else ""
        )
        ui.tile("Share of eligible customers", share, note)
    with grid.cell():
        age = state.meta.data_age
        stale = rollout is not None and state.policy is not None and not answers.is_fresh(state)
        limit = (
            f"limit {duration(timedelta(seconds=state.policy.watch.freshness_seconds))}"
            if state.policy
            else "no policy in force"
        )
        ui.tile("Data age", "no data" if age is None else duration(age), limit, "bad" if stale else None)
    with grid.cell():
        refused = state.meta.quarantined
        share_refused = refused / state.meta.records_read if state.meta.records_read else 0.0
        reasons = ", ".join(f"{reason} {count}" for reason, count in list(state.quarantine.items())[:2])
        ui.tile(
            "Records refused",
            f"{refused:,}",
            f"{percent(share_refused)} of {count_text(state.meta.records_read)} read {reasons}".strip(),
        )


def _incidents(now: View) -> None:
    """What is open and how far its containment has come; what was resolved lately, with the evidence that led to it."""
    for incident in now.state.open_incidents[:3]:
        with st.container(border=True):
            _incident(now, incident)
    undelivered = [row for row in now.state.messages if row.status == "dead"]
    if undelivered:
        st.error(f"{len(undelivered)} messages could not be delivered: {undelivered[0].title} ({undelivered[0].error})")
    lately = now.state.meta.now - windows.RECENT
    done = [
        row
        for row in reversed(now.state.incidents)
        if row not in now.state.open_incidents and row.detected_at >= lately
    ]
    for incident in done[:3]:
        with st.expander(
            f"{incident.state.capitalize()}: {incident.title}, {clock(incident.detected_at, now.state.meta.now)}"
        ):
            _incident(now, incident)


def _incident(now: View, incident: IncidentRow) -> None:
    st.html(ui.incident_head(incident))
    ui.containment(incident)
    st.caption(
        f"{incident.incident_id} \u00b7 {ui.exposed(incident)} \u00b7 {_told(now, incident.incident_id)} \u00b7 times in UTC"
    )
    if now.state.rollout is not None and incident.rollout_id == now.state.rollout.rollout_id:
        return  # its evidence is in the charts below
    since = (incident.onset_at or incident.detected_at) - timedelta(minutes=30)
    loaded = data.evidence(*now.at, incident.rollout_id, since, 60)
    points = frames.evidence(loaded.filter(pl.col("start") <= incident.detected_at), incident.trigger)
    if not points.is_empty():
        title = f"Evidence of {trigger_title(incident.trigger)}"
        ui.figure(charts.evidence(points, now.colours), title, f"incident_{incident.incident_id}")


def _told(now: View, incident_id: str) -> str:
    """What became of the incident's messages."""
    told = [row for row in now.state.messages if row.incident_id == incident_id]
    if not told:
        return "nobody has been told yet"
    counted = {status: sum(row.status == status for row in told) for status in sorted({row.status for row in told})}
    return "messages " + ", ".join(f"{status} {count}" for status, count in counted.items())


def _triggers(now: View, since: datetime) -> None:
    """Each trigger's evidence as a multiple of its threshold; at 1 it fires and the latch stays."""
    rollout = now.state.rollout
    ui.section(
        "Triggers",
        "Evidence against each trigger's threshold, logarithmic: at 1 (red line) it fires; what is below 10\u207b\u2076 is drawn there. All traffic.",
    )
    rows = frames.trigger_rows(now.state)
    if rollout is None or not rows:
        ui.empty(
            "No block has been judged yet.",
            "Evidence appears when the first block of a running rollout has closed: its labels must be mature.",
        )
        return
    loaded = data.evidence(*now.at, rollout.rollout_id, since, data.bin_for(now.state.meta.now - since, bins=120))
    grid = st.grid(columns=3, min_column_width=290, key="grid_triggers")
    for row in rows:
        with grid.cell():
            st.html(ui.head(str(row["title"]), ui.chip(_trigger_word(row), str(row["tone"]))) + _trigger_note(now, row))
            points = frames.evidence(loaded, str(row["trigger"]))
            if points.is_empty():
                st.caption("no block closed in this window")
            else:
                ui.figure(
                    charts.evidence(points, now.colours),
                    f"Evidence of {row['title']} over time",
                    f"evidence_{row['trigger']}",
                )
    _segments(now)


def _trigger_word(row: dict[str, object]) -> str:
    if row["fired_now"]:
        return "Fired"
    if row["verdict"] == "NO_DATA":
        return "No data"
    ratio = float(str(row["ratio"]))
    return f"{ratio:.0%} of threshold" if ratio >= 0.005 else "Quiet"


def _trigger_note(now: View, row: dict[str, object]) -> str:
    policy = now.state.policy
    found = next((trigger for trigger in policy.triggers if trigger.name == row["trigger"]), None) if policy else None
    if found is None:
        return ""
    metric = METRICS.get(found.metric)
    if found.kind is MetricKind.RATING:
        limit = f"drop of more than {found.limit:g} points"
    elif found.kind is MetricKind.RATE_RATIO:
        limit = f"more than {found.limit:g} times the {now.baseline}"
    elif found.kind is MetricKind.TWO_SAMPLE:
        limit = f"more than {100 * found.limit:g} points above the {now.baseline}"
    else:
        limit = f"over {value_text(metric, found.limit) if metric else found.limit}"
    slo = f" (slower than {found.slo_ms:,.0f} ms)" if found.slo_ms else ""
    title = metric.title if metric else found.metric
    return f'<div class="cp-small">{escape(title)}{slo} {escape(limit)} \u2192 {escape(str(found.action).replace("_", " "))}</div>'


def _segments(now: View) -> None:
    parts = now.state.triggers.filter(pl.col("segment") != "all")
    if parts.is_empty():
        return
    with st.expander("By segment"):
        rows = [
            (
                escape(trigger_title(row["trigger"])),
                escape(row["segment"]),
                ui.chip("Fired", "bad") if row["ever_fired"] else escape(row["verdict"].replace("_", " ").lower()),
                "\u2013" if row["log_e"] is None else f"{row['log_e'] - row['log_threshold']:.1f}",
                ui.when(row["block_start"], now.state.meta.now),
            )
            for row in parts.to_dicts()
        ]
        ui.table(
            ("Trigger", "Segment", "Verdict", "ln(evidence / threshold)", "Last block"), rows, numeric=(3,), when=(4,)
        )


def _latency(now: View, since: datetime, until: datetime) -> None:
    slo = (
        next((trigger.slo_ms for trigger in now.state.policy.triggers if trigger.slo_ms), None)
        if now.state.policy
        else None
    )
    points = frames.latency(data.latency(*now.at, since.replace(minute=0, second=0, microsecond=0), until))
    left, right = st.columns(2, gap="large")
    with left:
        st.html(ui.head("Latency p50 and p95, per hour"))
        if points.is_empty():
            st.caption("no request with a latency in this window")
        else:
            ui.figure(charts.latency(points, slo, now.colours), "Latency quantiles per hour and arm", "latency")
    with right:
        width = data.bin_for(until - since, bins=72)
        st.html(ui.head("Traffic volume"))
        bins = frames.volume_bins(
            data.trend(*now.at, ("traffic_volume",), since, until, width), timedelta(seconds=width)
        )
        if bins.is_empty():
            st.caption("no conversation in this window")
        else:
            ui.figure(charts.volume(bins, now.colours, width / 60), "Conversations per bin and arm", "volume")


def _failures(now: View, since: datetime, until: datetime) -> None:
    width = data.bin_for(until - since, bins=12)
    sums = data.trend(*now.at, FAILURES, since, until, width)
    grid = st.grid(columns=4, min_column_width=230, key="grid_failures")
    for name in FAILURES:
        metric = METRICS[name]
        points = frames.trend(sums, metric, timedelta(seconds=width))
        with grid.cell():
            st.html(ui.head(metric.title))
            if points.is_empty():
                st.caption("no data in this window")
            else:
                limit = measures.limit_of(now.state.policy, name)
                ui.figure(charts.rates(points, limit, now.colours), f"{metric.title} over time", f"failure_{name}")


def _decisions(now: View) -> None:
    ui.section("Last decisions", "From the audit log, newest first. Times in UTC.")
    if not now.state.log:
        ui.empty(
            "Nothing has been decided yet.",
            "`controlplane release start NAME --actor YOU --artefact model=HASH` is the first decision.",
        )
        return
    ui.table(("When", "What", "Who", "Why"), _log_rows(now), when=(0,))


def _intake(now: View) -> None:
    """Who sends, how far behind each is, and what was refused and why."""
    with st.expander("Sources and refused records"):
        rows = [
            (
                escape(source.name),
                "live" if source.live else "file",
                "\u2013" if source.newest is None else stamp(source.newest),
                "\u2013" if source.newest is None or not source.live else duration(now.state.meta.now - source.newest),
            )
            for source in now.state.sources
        ]
        ui.table(("Source", "Kind", "Newest record (UTC)", "Behind"), rows, numeric=(3,), when=(2,))
        meta = now.state.meta
        st.caption(
            f"Read {meta.records_read:,} = stored {meta.stored:,} + duplicates {meta.duplicates:,} + refused {meta.quarantined:,}."
        )
        if now.state.quarantine:
            refused = [(escape(reason), f"{count:,}") for reason, count in now.state.quarantine.items()]
            ui.table(("Refused because", "Records"), refused, numeric=(1,))


def _log_rows(now: View) -> Sequence[Sequence[str]]:
    return [
        (
            ui.when(row.moment, now.state.meta.now),
            escape(row.event.replace("_", " ")),
            escape(row.actor),
            escape(row.reason),
        )
        for row in now.state.log[:10]
    ]


main()
