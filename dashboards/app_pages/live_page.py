"""Live, for on-call: what is served now and whether it is safe, what fires, how the service does, and the way to act. It moves by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from urllib.parse import quote

import polars as pl
import streamlit as st

from controlplane.core.metrics import METRICS
from controlplane.core.model import RolloutState
from controlplane.store.snapshot import NoSnapshot
from controlplane.store.state_rows import IncidentRow
from dashboards import acting, answers, charts, data, export, filters, frames, measures, shell, strip, ui, windows
from dashboards.config import REFRESH_SECONDS
from dashboards.incidents import words as incidents_words
from dashboards.live import acts as live_acts
from dashboards.live import charts as charts_live
from dashboards.live import data as data_live
from dashboards.live import frames as live_frames
from dashboards.live import html as live_html
from dashboards.live import triggers as live_triggers
from dashboards.live import words as live_words
from dashboards.live.frames import Window
from dashboards.live.triggers import NEAR
from dashboards.live.values import Quiet, Vital, Watched
from dashboards.shell import View
from dashboards.words import clock, count_text, duration, plain, stamp, trigger_title

OPENED = 3  # incidents at once
SHOWN = 6  # triggers at once; the others are behind one more click, because nothing about them is urgent
LEADING = 3  # of these, drawn large
RATES = (*live_frames.FAILURES, "latency_mean", "traffic_volume", "request_volume", "safety_incidents")
SEEN = "live_drawn_from"


def main() -> None:
    """What moves (the answer), what stands still (the acts and what is in force), what moves again (evidence and service)."""
    now = shell.view()
    acting.outcome()
    quiet = _quiet(now)
    st.session_state[SEEN] = live_acts.mark(now.state, quiet)
    with st.container(key="cp_live_top"):
        _top()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        live_acts.row(now)
        choice = filters.pick("window", "Window", list(windows.LIVE), "6 h")
    live_acts.in_force(now, quiet)
    with st.container(key="cp_live_rest"):
        _rest(choice)


@st.fragment(run_every=REFRESH_SECONDS)
def _top() -> None:
    """The answer, from the newest snapshot; when the acts no longer fit it, the page is drawn anew."""
    now = shell.look()
    if isinstance(now, NoSnapshot):
        ui.empty("Nothing is published any more.", str(now))
        return
    silent = strip.behind(now.ref, datetime.now(UTC))
    ui.hero(live_words.hero(now.state, data_live.queue(*now.at), silent))
    if st.session_state.get(SEEN) != live_acts.mark(now.state, _quiet(now)) and not acting.confirming():
        st.rerun()


@st.fragment(run_every=REFRESH_SECONDS)
def _rest(choice: str) -> None:
    """The open incidents, evidence, service, queue and decisions, from the newest snapshot."""
    now = shell.look()
    if isinstance(now, NoSnapshot):
        return
    _open(now)
    if now.state.meta.newest is None:
        ui.empty(
            "No traffic yet.",
            "As soon as a producer sends records (`controlplane ingest FILE`, OTLP, `make demo`), they are judged and shown here.",
        )
        return
    until = now.state.meta.now
    window = (max(until - windows.LIVE[choice], now.state.first or until - windows.LIVE[choice]), until)
    _triggers(now, window)
    _service(now, window, choice)
    _delivery(now)
    _over(now)
    _decisions(now)


def _quiet(now: View) -> tuple[Quiet, ...]:
    rollout = now.state.rollout
    return data_live.quiet(*now.at, rollout.rollout_id if rollout else "")


def _open(now: View) -> None:
    """The open incidents, those that may still harm first. They stand below the acts, which are in reach however many there are."""
    found = sorted(now.state.open_incidents, key=lambda row: not incidents_words.unsafe(row))
    for incident in found[:OPENED]:
        with st.container(border=True):
            _incident(now, incident)
    if len(found) > OPENED:
        st.caption(f"{len(found) - OPENED:,} more open: [all incidents](incidents)")


def _incident(now: View, incident: IncidentRow) -> None:
    st.html(ui.incident_head(incident))
    ui.containment(incident)
    told = _told(now, incident.incident_id)
    st.caption(
        f"**{plain(live_words.waits_for(incident))}** \u00b7 {ui.exposed(incident)} \u00b7 {told} \u00b7 times in UTC \u00b7 "
        f"[Timeline, causes and actions](incidents?incident={quote(incident.incident_id)})"
    )


def _told(now: View, incident_id: str) -> str:
    """What became of the incident's messages."""
    told = [row for row in now.state.messages if row.incident_id == incident_id]
    if not told:
        return "nobody has been told yet"
    counted = {status: sum(row.status == status for row in told) for status in sorted({row.status for row in told})}
    return "messages " + ", ".join(f"{status} {count}" for status, count in counted.items())


def _triggers(now: View, window: Window) -> None:
    """Each trigger's evidence as a multiple of its threshold; at 1 it fires and the latch stays."""
    ui.section(
        "Triggers",
        f"How close each is to acting, the most urgent first. Evidence on a logarithmic scale; at the red line it fires. {_counted(now)}",
    )
    rollout = now.state.rollout
    if rollout is None or now.state.triggers.is_empty():
        ui.empty(
            "No block has been judged yet.",
            "Evidence appears when the first block of a running rollout has closed: its labels must be mature.",
        )
        return
    width = data.bin_for(window[1] - window[0], bins=120)
    counted_from = _counted_from(now)
    loaded = data_live.evidence(*now.at, rollout.rollout_id, window[0], counted_from, width)
    rows = live_triggers.watched(now.state, loaded, window)
    urgent = [row for row in rows if row.fired or row.ratio >= NEAR][:LEADING]
    if urgent:
        grid = st.grid(columns=min(len(urgent), 2), min_column_width=320, key="grid_urgent")
        for row in urgent:
            with grid.cell():
                _large(now, row, loaded)
    others = [row for row in rows if row not in urgent]
    _cards(now, others[:SHOWN], "grid_triggers")
    with st.expander(f"All {len(rows)} triggers and checks, by segment"):
        _cards(now, others[SHOWN:], "grid_more_triggers")
        _segments(now)
        params = {"rollout_id": rollout.rollout_id, "since": window[0], "counted_from": counted_from}
        export.offer("live_evidence", loaded, "pages/live_evidence", {**params, "bin_seconds": width})


def _counted_from(now: View) -> datetime:
    """When the stage began that the figures of the triggers are of: after a roll-back the last one that was served."""
    spans = [span for span in answers.history(now.state) if span.exposed]
    return spans[-1].since if spans else now.state.meta.now


def _counted(now: View) -> str:
    since = clock(_counted_from(now), now.state.meta.now)
    rolled_back = now.state.rollout is not None and now.state.rollout.state is RolloutState.ROLLED_BACK
    return (
        f"Figures are of the last stage served, from {since}."
        if rolled_back
        else f"Figures are of this stage, since {since}."
    )


def _large(now: View, row: Watched, loaded: pl.DataFrame) -> None:
    st.html(live_html.trigger_head(row))
    points = frames.evidence(loaded, row.name)
    if points.is_empty():
        st.caption("no block closed in this window")
    else:
        alt = f"Evidence of {row.title} over time: {row.word}. {row.observed}"
        ui.figure(charts.evidence(points, now.colours, height=130), alt, f"evidence_{row.name}")
    st.html(f'<div class="cp-small">{escape(live_words.rule(now.state.policy, row.name, now.baseline))}</div>')


def _cards(now: View, rows: Sequence[Watched], key: str) -> None:
    if not rows:
        return
    grid = st.grid(
        columns=2 if len(rows) in (2, 4) else 3, min_column_width=290, key=key
    )  # no card stands alone in a row
    for row in rows:
        with grid.cell():
            st.html(live_html.watched(row, live_words.rule(now.state.policy, row.name, now.baseline), now.colours))


def _segments(now: View) -> None:
    parts = now.state.triggers.filter(pl.col("segment") != "all")
    if parts.is_empty():
        st.caption("No segment is watched on its own.")
        return
    rows = [
        (
            escape(trigger_title(row["trigger"])),
            escape(trigger_title(row["segment"])),
            ui.chip("Fired", "bad") if row["ever_fired"] else escape(row["verdict"].replace("_", " ").lower()),
            "\u2013" if row["log_e"] is None else f"{row['log_e'] - row['log_threshold']:.1f}",
            ui.when(row["block_start"], now.state.meta.now),
        )
        for row in parts.to_dicts()
    ]
    ui.table(("Trigger", "Segment", "Verdict", "ln(evidence / threshold)", "Last block"), rows, numeric=(3,), when=(4,))


def _service(now: View, window: Window, choice: str) -> None:
    """Vital signs of the last half hour with the window's line, latency and volume over time, dependencies by name."""
    width = live_frames.bin_seconds(window[1] - window[0])
    recent = live_frames.recent_from(now.state, window, width)
    ui.section(
        "Service",
        f"Eligible traffic. Figures: since {clock(recent, window[1])}, with their 95 % interval. Lines: the last {choice}, each on its own scale.",
    )
    ui.legend(now.baseline)
    sums = data.trend(*now.at, RATES, window[0], window[1], width)
    services = data_live.services(*now.at, window[0], window[1], width)
    policy, baseline = now.state.policy, now.baseline
    slow = live_frames.slow_vital(services, window, recent, policy, baseline)
    signs = [
        live_frames.quantile_vital(name, services, window, recent, baseline) for name in ("latency_p50", "latency_p95")
    ]
    signs.append(live_frames.rate_vital("latency_mean", sums, window, recent, policy, baseline))
    signs += [slow] if slow else []
    signs += [live_frames.rate_vital(name, sums, window, recent, policy, baseline) for name in live_frames.FAILURES]
    _vitals(now, signs, 4, "grid_vitals")
    counts = [live_frames.incidents_vital(sums, window)]
    counts += [
        live_frames.volume_vital(name, sums, window, recent, width) for name in ("traffic_volume", "request_volume")
    ]
    _vitals(now, counts, 3, "grid_counts")
    _over_time(now, services, sums, width)
    _dependencies(now, services, window, recent)
    params = {"since": window[0], "until": window[1], "bin_seconds": width}
    with st.container(horizontal=True):
        export.offer("live_services", services, "pages/live_services", params)


def _vitals(now: View, vitals: Sequence[Vital], columns: int, key: str) -> None:
    grid = st.grid(columns=columns, min_column_width=160, key=key)
    for one in vitals:
        with grid.cell():
            st.html(live_html.vital(one, now.colours))


def _over_time(now: View, services: pl.DataFrame, sums: pl.DataFrame, width: int) -> None:
    left, right = st.columns(2, gap="large")
    minutes = width / 60
    with left:
        st.html(ui.head(f"Latency p50 and p95, per {minutes:g} min"))
        points = live_frames.latency(services)
        if points.is_empty():
            st.caption("no request with a latency in this window")
        else:
            alt = "Latency quantiles of both arms over time, with the objective"
            ui.figure(charts_live.latency(points, live_frames.objective(now.state.policy), now.colours), alt, "latency")
    with right:
        st.html(ui.head(f"{METRICS['traffic_volume'].title}, {now.baseline} on top of the assistant"))
        bins = frames.volume_bins(sums, timedelta(seconds=width))
        if bins.is_empty():
            st.caption("no conversation in this window")
        else:
            alt = f"Conversations per {minutes:g} minutes and arm: {count_text(int(bins['n'].sum()))} in the window"
            ui.figure(charts.volume(bins, now.colours, minutes, height=250), alt, "volume")


def _dependencies(now: View, services: pl.DataFrame, window: Window, recent: datetime) -> None:
    st.html(ui.head(f"Dependencies since {clock(recent, window[1])}, all traffic"))
    limit = measures.limit_of(now.state.policy, "dependency_failure_rate")
    rows = live_frames.dependencies(services, window, recent, limit)
    if not rows:
        st.caption("no call of a dependency in this window")
        return
    head = ("Name", "State", "Calls", "Failed (95 % interval)", "Timed out", "p50", "p95", "Failed over time")
    ui.table(head, [live_html.dependency_row(one, limit, now.colours) for one in rows], numeric=(2, 3, 4, 5, 6))


def _delivery(now: View) -> None:
    """Do messages reach people, and does data reach us."""
    state, meta = now.state, now.state.meta
    ui.section("Delivery and data", "Messages to people, and what producers send. Ages as of the newest snapshot.")
    queue = data_live.queue(*now.at)
    grid = st.grid(columns=4, min_column_width=160, key="grid_delivery")
    with grid.cell():
        age = "nothing waits" if queue.oldest is None else f"the oldest for {duration(meta.now - queue.oldest)}"
        ui.tile("Messages waiting", f"{queue.pending:,}", age)
    with grid.cell():
        ui.tile(
            "Undeliverable",
            f"{queue.dead:,}",
            queue.error or "every message got through",
            "bad" if queue.dead else None,
        )
    with grid.cell():
        stale = state.rollout is not None and state.policy is not None and not answers.is_fresh(state)
        limit = f"limit {duration(timedelta(seconds=state.policy.watch.freshness_seconds))}" if state.policy else ""
        shown = "no data" if meta.data_age is None else duration(meta.data_age)
        ui.tile("Data age", shown, limit or "no policy in force", "bad" if stale else None)
    with grid.cell():
        share = meta.quarantined / meta.records_read if meta.records_read else 0.0
        note = f"{100 * share:.2g} % of {count_text(meta.records_read)} read"
        ui.tile("Records refused", f"{meta.quarantined:,}", note)
    with st.expander("Sources and refused records"):
        _sources(now)


def _sources(now: View) -> None:
    meta = now.state.meta
    rows = [
        (
            escape(source.name),
            "live" if source.live else "file",
            "\u2013" if source.newest is None else stamp(source.newest),
            "\u2013" if source.newest is None or not source.live else duration(meta.now - source.newest),
        )
        for source in now.state.sources
    ]
    ui.table(("Source", "Kind", "Newest record (UTC)", "Behind"), rows, numeric=(3,), when=(2,))
    st.caption(
        f"Read {meta.records_read:,} = stored {meta.stored:,} + duplicates {meta.duplicates:,} + refused {meta.quarantined:,}."
    )
    if now.state.quarantine:
        refused = [(escape(reason), f"{count:,}") for reason, count in now.state.quarantine.items()]
        ui.table(("Refused because", "Records"), refused, numeric=(1,))


def _over(now: View) -> None:
    """Incidents of the last days that nobody has to work on any more, to be read with their times."""
    lately = now.state.meta.now - windows.RECENT
    opened = now.state.open_incidents
    done = [row for row in reversed(now.state.incidents) if row not in opened and row.detected_at >= lately]
    for incident in done[:3]:
        title = (
            f"{incident.state.capitalize()}: {plain(incident.title)}, {clock(incident.detected_at, now.state.meta.now)}"
        )
        with st.expander(title):
            _incident(now, incident)


def _decisions(now: View) -> None:
    ui.section(
        "Last decisions", "What changed what is served or who is on it, newest first, with the reason. Times in UTC."
    )
    rows = live_words.decisions(now.state)[:8]
    if not rows:
        ui.empty(
            "Nothing has been decided yet.",
            "`controlplane release start NAME --actor YOU --artefact model=HASH` is the first decision.",
        )
        return
    moment = now.state.meta.now
    cells = [
        (
            ui.when(row.moment, moment),
            escape(trigger_title(row.event)),
            "automatic" if row.actor == "controlplane" else escape(row.actor),
            escape(live_words.plain(row.reason, now.state.policy)),
        )
        for row in rows
    ]
    ui.table(("When", "What", "Who", "Why"), cells, when=(0,), why=3)


main()
