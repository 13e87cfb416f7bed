"""One incident on the screen: how it stands, what a person can do, its timeline, the evidence, likely causes, what is to be done, its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import streamlit as st

from controlplane.core.incident import is_over
from controlplane.core.incident_clock import SERIOUS_DAYS, Due
from controlplane.core.roles import Permission
from controlplane.store.state_rows import IncidentRow, from_text
from dashboards import acting, charts, control, data, export, frames, tasks, ui
from dashboards.control import Outcome
from dashboards.incidents import causes as incidents_causes
from dashboards.incidents import data as data_incidents
from dashboards.incidents import values as incidents_values
from dashboards.incidents import words as incidents_words
from dashboards.shell import View
from dashboards.words import clock, duration, plain, stamp, trigger_title

TOLD = 20  # messages
KINDS = ("knowledge", "prompt", "classifier", "guardrail", "threshold", "monitoring", "other")
SERIOUS = {
    "death": "A person died",
    "health": "Serious harm to somebody's health",
    "infrastructure": "Critical infrastructure disrupted",
    "widespread": "A widespread infringement",
    "rights": "Fundamental rights infringed",
    "property": "Serious harm to property or the environment",
}
FRAME = "border:0;width:100%;height:100vh;background:#fff"


def page(now: View, row: IncidentRow) -> None:
    """The whole page of an incident."""
    st.html('<a class="cp-back" href="?">\u2190 All incidents</a>')
    ui.hero(incidents_words.one(row, now.state.meta.now))
    _acts(now, row)
    _times(now, row)
    _serious(now, row)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _timeline(now, row)
    with right:
        _todo(now, row)
        _told(now, row)
    _evidence(now, row)
    incidents_causes.section(now, row)
    _report(now, row)


def _acts(now: View, row: IncidentRow) -> None:
    """What a person can do now, the most urgent first."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for place, event in enumerate(incidents_values.takes(row)):
            label, consequence = incidents_words.ACTS[event]
            send = acting.asked(now, "incident_act", incidents_words.DONE[event], incident=row.incident_id, event=event)
            key = f"{event}_{row.incident_id}"
            first = place == 0 and not is_over(row.state)
            acting.button(now, key, label, consequence, Permission.RESPOND, send, primary=first)
        if now.person.role is None:
            st.caption("Log in to act.")


def _times(now: View, row: IncidentRow) -> None:
    said = incidents_values.clock_of(row)
    ui.section("How fast", f"Release {plain(row.release)}. Seconds count from the record; times in UTC.")
    ui.containment(row)
    grid = st.grid(columns=5, min_column_width=160, key="grid_times")
    for name, (title, span) in incidents_values.SPEEDS.items():
        value = getattr(said, name)
        with grid.cell():
            missing = "unknown" if name == "to_detect" else "not yet"
            ui.tile(title, missing if value is None else incidents_words.seconds(value), span)
    with grid.cell():
        met = row.customers_exposed
        ui.tile("Customers exposed", "unknown" if met is None else f"{met:,}", "served between onset and cut")


def _serious(now: View, row: IncidentRow) -> None:
    """The clock of a serious incident, where a person has started it; else the way to start it."""
    due = incidents_values.report_due(row, now.state.meta.now)
    if not row.serious:
        with st.expander("Is it a serious incident? (EU AI Act, Article 73)"):
            st.caption(
                "Calling it serious starts the clock of the report to the authority. It can be taken back with a reason."
            )
            kind = st.selectbox(
                "What happened",
                list(SERIOUS_DAYS),
                format_func=lambda name: f"{SERIOUS[name]}: {SERIOUS_DAYS[name]:g} days",
                key="serious_kind",
            )
            send = acting.asked(now, "incident_serious", "Its clock runs.", incident=row.incident_id, kind=kind)
            consequence = (
                "People are reminded at half of the time and paged when it is over, until the report is recorded."
            )
            acting.button(now, "serious", "Call it serious", consequence, Permission.RESPOND, send)
        return
    until = from_text(row.serious["due_at"])
    with st.container(border=True):
        st.html(
            ui.head(f"Serious incident: {SERIOUS.get(row.serious['kind'], row.serious['kind'])}", _due_chip(row, due))
        )
        if row.serious.get("reported_at"):
            st.caption(
                f"Reported {stamp(from_text(row.serious['reported_at']))} UTC: {plain(str(row.serious.get('reference', '')))}"
            )
            return
        left = until - now.state.meta.now
        word = f"{duration(left)} left" if left > timedelta(0) else f"{duration(-left)} late"
        st.caption(
            f"The report is due by {stamp(until)} UTC: {word}. Known since {stamp(from_text(row.serious['since']))} UTC."
        )
        with st.container(horizontal=True):
            said = acting.asked(now, "incident_reported", "The report is on record.", incident=row.incident_id)
            back = acting.asked(
                now, "incident_not_serious", "It is not called serious any more.", incident=row.incident_id
            )
            told = "Give the reference of the report as the reason."
            acting.button(now, "reported", "Record the report", told, Permission.RESPOND, said, primary=True)
            undone = "Its clock stops. The audit log keeps both words."
            acting.button(now, "not_serious", "It is not serious", undone, Permission.RESPOND, back)


def _due_chip(row: IncidentRow, due: Due) -> str:
    if row.serious.get("reported_at"):
        return ui.chip("Reported", "good")
    return ui.chip(
        {Due.OVERDUE: "Report OVERDUE", Due.SOON: "Report due soon"}.get(due, "Report running"),
        "bad" if due is Due.OVERDUE else "wait",
    )


def _timeline(now: View, row: IncidentRow) -> None:
    ui.section("Timeline", "Everything on record about it, oldest first. Times in UTC.")
    end = row.resolved_at or now.state.meta.now
    audit = data_incidents.about(*now.at, row.incident_id, row.rollout_id, row.detected_at, end)
    told = [one for one in now.state.messages if one.incident_id == row.incident_id]
    entries = incidents_values.timeline(row, audit.to_dicts(), told)
    day = None
    items = []
    for entry in entries:
        if entry.at.date() != day:
            day = entry.at.date()
            items.append(f'<div class="cp-day" role="listitem">{entry.at:%A, %-d %B %Y}</div>')
        items.append(
            f'<div class="cp-at-{entry.tone}" role="listitem"><time>{entry.at:%H:%M:%S}</time><div>{ui.prose(entry.text)}'
            f"<span>{escape(entry.actor)}</span></div></div>"
        )
    st.html(f'<div class="cp-story" role="list">{"".join(items)}</div>')


def _todo(now: View, row: IncidentRow) -> None:
    ui.section("To do", "Written down by people, each with an owner and a day.")
    items = data_incidents.actions(*now.at).filter(pl.col("incident_id") == row.incident_id)
    if items.is_empty():
        ui.empty("Nothing is written down.", "What would have prevented it, or found it sooner? Write it down below.")
    else:
        _items(now, items)
    with st.expander("Write down an action"):
        _add(now, row)


def _items(now: View, items: pl.DataFrame) -> None:
    for item in items.to_dicts():
        with st.container(border=True):
            st.html(ui.head(item["text"], _item_chip(item, now.state.meta.now)))
            if item["outcome"]:
                st.caption(plain(f"{item['owner']}; {item['outcome']} by {item['closed_by']}: {item['evidence']}"))
                continue
            due = "no day is set" if item["due_at"] is None else f"due {clock(item['due_at'], now.state.meta.now)}"
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(plain(f"{item['owner']}; {due}"), width="stretch")
                for outcome, label in (("done", "Done"), ("dropped", "Drop it")):
                    send = acting.asked(now, "action_close", "Closed.", action=item["action_id"], outcome=outcome)
                    told = "What shows it? An evaluation run, a data-set version, a commit, or why it is dropped."
                    acting.button(now, f"{outcome}_{item['action_id']}", label, told, Permission.RESPOND, send)


def _item_chip(item: Mapping[str, Any], now: datetime) -> str:
    if item["outcome"]:
        return ui.chip(str(item["outcome"]).capitalize(), "good" if item["outcome"] == "done" else "quiet")
    tone = incidents_values.due_tone(item["due_at"], now)
    return ui.chip({"bad": "Overdue", "wait": "Due soon"}.get(tone, "Open"), tone)


def items_table(items: pl.DataFrame, now: datetime, *, with_incident: bool) -> None:
    """Action items as a table."""
    rows = [
        (
            _item_chip(item, now),
            f'<div class="cp-wide">{escape(item["text"])}</div>',
            escape(item["kind"]),
            escape(item["owner"]),
            "\u2013" if item["due_at"] is None else ui.when(item["due_at"], now),
            f'<a href="?incident={quote(item["incident_id"])}">open</a>' if with_incident else "",
        )
        for item in items.head(50).to_dicts()
    ]
    ui.table(("", "What", "Kind", "Owner", "Due", "Incident"), rows, when=(4,))


def _add(now: View, row: IncidentRow) -> None:
    """A form of our own: an action has more than a reason."""
    may = now.person.may(Permission.RESPOND)
    with st.form(f"action_{row.incident_id}", border=False, clear_on_submit=True):
        text = st.text_input("What is to be done")
        left, right = st.columns(2)
        kind = left.selectbox("What it changes", KINDS)
        owner = right.text_input("Who does it")
        day = left.date_input("Until", value=None, min_value=now.state.meta.now.date())
        actor = now.person.name or right.text_input("Your name")
        lacks = None if may else tasks.lacking(Permission.RESPOND)
        if st.form_submit_button("Write it down", disabled=not may, help=lacks):
            due = day.isoformat() if day else None
            said = {"incident": row.incident_id, "kind": kind, "reason": text, "owner": owner, "due": due}
            reply = control.ask(now.config, now.person.role, "action_add", said, actor.strip())
            st.session_state["outcome"] = Outcome(reply.done, "Written down." if reply.done else reply.text)
            st.rerun()


def _told(now: View, row: IncidentRow) -> None:
    told = [one for one in now.state.messages if one.incident_id == row.incident_id]
    ui.section("Who was told", "Messages about it and what became of them, newest first; times in UTC.")
    if not told:
        st.caption("Nobody has been told yet.")
        return
    tones = {"sent": "good", "dead": "bad", "suppressed": "quiet"}
    rows = [
        (
            ui.when(one.created_at, now.state.meta.now),
            escape(one.receiver or "\u2013"),
            ui.chip(one.status, tones.get(one.status, "wait")),
        )
        for one in sorted(told, key=lambda one: one.created_at, reverse=True)[:TOLD]
    ]
    ui.table(("Written", "To", "Status"), rows, when=(0,))
    if len(told) > TOLD:
        st.caption(f"The newest {TOLD} of {len(told):,}.")


def _evidence(now: View, row: IncidentRow) -> None:
    """What the trigger saw, up to the detection."""
    name = trigger_title(row.trigger)
    segment = incidents_values.fired_in(row)
    where = "" if segment == "all" else f" in segment {segment}"
    ui.section(
        "Evidence",
        f"{name}{where}: evidence against its threshold, logarithmic; at 1 (red line) it fires. Times in UTC.",
    )
    since = (row.onset_at or row.detected_at) - timedelta(minutes=45)
    loaded = data.evidence(*now.at, row.rollout_id, since, 60, segment)
    points = frames.evidence(loaded.filter(pl.col("start") <= row.detected_at), row.trigger)
    if points.is_empty():
        st.caption(
            "No statistical evidence led to it: a person, or a check of the data, decided. The timeline says why."
        )
        return
    when = clock(row.detected_at, now.state.meta.now)
    alt = f"The evidence of {name} was at {points['ratio'][-1]:.3g} times its threshold when it was detected, {when}."
    ui.figure(charts.evidence(points, now.colours, 190), alt, f"incident_{row.incident_id}")
    begin = since.replace(tzinfo=None)
    params = {"rollout_id": row.rollout_id, "since": begin, "bin_seconds": 60, "segment": segment}
    export.offer("incident-evidence", loaded, "pages/evidence", params, "Evidence of every trigger of the rollout.")


def _report(now: View, row: IncidentRow) -> None:
    ui.section(
        "Post-incident report",
        "One document of everything on record: times, evidence, causes, messages, lessons, actions.",
    )
    made = data_incidents.reports(*now.at).filter(
        (pl.col("kind") == "incident_report") & (pl.col("incident_id") == row.incident_id)
    )
    tasks.failed(f"report_{row.incident_id}")
    actor = now.person.name
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if now.person.may(Permission.RESPOND) and not actor:
            actor = st.text_input("Your name", key="report_actor", width=220).strip()
        label = "Write it again" if made.height else "Write the report"
        if actor or not now.person.may(Permission.RESPOND):
            task = {"incident": row.incident_id}
            done = tasks.button(
                now, f"report_{row.incident_id}", label, "incident_report", task, Permission.RESPOND, actor
            )
            if done:
                st.caption("Written; it is shown here with the next snapshot.")
    if made.is_empty():
        ui.empty("There is no report yet.", f"Write it here, or with `controlplane incident report {row.incident_id}`.")
        return
    newest = made.row(0, named=True)
    path = (now.config.home / newest["path"]).resolve()
    if not path.is_relative_to(now.config.home.resolve()) or not path.is_file():
        st.caption("The report's file is gone from the workspace; write it again.")
        return
    state = json.loads(newest["summary"]).get("state", "")
    st.caption(f"Written {clock(newest['created_at'], now.state.meta.now)}, when the incident was {state}.")
    _document(path)


def _document(path: Path) -> None:
    text = data.report_html(str(path), path.stat().st_mtime_ns)
    plain = path.with_suffix(".md")
    with st.container(horizontal=True):
        st.download_button("Download as HTML", text, "post-incident-report.html", "text/html", on_click="ignore")
        if plain.is_file():
            words = plain.read_text(encoding="utf-8")
            st.download_button("As Markdown", words, "post-incident-report.md", "text/markdown", on_click="ignore")
    if st.toggle("Show the report", key="incident_report_show"):
        inner = f'<iframe sandbox="" srcdoc="{escape(text, quote=True)}" style="{FRAME}" title="Post-incident report"></iframe>'
        st.iframe(f"<body style='margin:0'>{inner}</body>", height=900, alt="Post-incident report")
