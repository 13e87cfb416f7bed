"""Why it happened, on the screen: what the machine said at once, and on request every cause with what speaks for and against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.cause_model import TITLES
from controlplane.core.roles import Permission
from controlplane.store.state_rows import IncidentRow
from dashboards import acting, tasks, ui
from dashboards.incidents import charts as charts_incidents
from dashboards.incidents import data as data_incidents
from dashboards.incidents import values as incidents_values
from dashboards.shell import View
from dashboards.words import clock

SHOWN = 3
STANDINGS = {"likely": ("Likely", "good"), "contested": ("Contested", "wait"), "unknown": ("Unknown", "quiet")}
MARKS = {
    "for": ("for", "good"),
    "against": ("against", "bad"),
    "neutral": ("neutral", "quiet"),
    "unknown": ("unknown", "wait"),
}
WORDS = {**{str(kind): title for kind, title in TITLES.items()}, "unknown": "Nobody can tell yet"}


def section(now: View, row: IncidentRow) -> None:
    """The recorded line first; the ranking with all its evidence when somebody asks for it."""
    ui.section(
        "Likely causes",
        "Points of evidence for and against each kind of cause, from the records before and after the onset and from the change log.",
    )
    said = incidents_values.cause_line(row)
    if said:
        st.html(
            f'<div class="cp-quote">{ui.prose(said)}<span>said by the control plane when it was detected</span></div>'
        )
    key = f"causes_{row.incident_id}"
    tasks.failed(key)
    label = "Weigh the evidence for every cause"
    found = tasks.button(now, key, label, "incident_causes", {"incident": row.incident_id}, Permission.QUERY)
    if found:
        _ranking(now, found)
    elif not said:
        ui.empty(
            "No cause has been ranked.", f"Ask for it above, or with `controlplane incident causes {row.incident_id}`."
        )
    _disagreements(now, row, found)


def _ranking(now: View, found: Mapping[str, Any]) -> None:
    st.html(ui.head(headline(found), ui.chip(*STANDINGS.get(found["standing"], ("Unknown", "quiet")))))
    if not found["causes"]:
        return
    frame = incidents_values.cause_points(found)
    best = found["causes"][0]
    alt = f"{best['title']} has the most points, {best['points']:+.1f}; " + ", ".join(
        f"{cause['title']} {cause['points']:+.1f}" for cause in found["causes"][1:]
    )
    ui.figure(charts_incidents.causes(frame, now.colours), alt, "incident_causes")
    for place, cause in enumerate(found["causes"][:SHOWN], 1):
        with st.expander(f"{place}. {cause['title']}: {cause['points']:+.1f} points", expanded=place == 1):
            _cause(cause)
    with st.expander("What changed near the onset, and what limits this"):
        for note in found["notes"]:
            st.caption(note)
        _changes(found)


def headline(found: Mapping[str, Any]) -> str:
    """The first cause with what speaks most for it; that there is none, where nothing has enough evidence."""
    if not found["causes"] or found["standing"] == "unknown":
        return "No kind of cause has enough evidence"
    best = found["causes"][0]
    named = f" ({best['named']})" if best["named"] else ""
    return f"{best['title']}{named}; {max(best['lines'], key=lambda line: line['points'])['text']}"


def _cause(cause: Mapping[str, Any]) -> None:
    if cause["named"]:
        st.caption(f"Named: {cause['named']}")
    if cause["slice"]:
        where = cause["slice"]
        st.caption(
            f"Where: {where['dimension']} {where['value']}, {where['title']}: {where['inside_text']} inside, {where['outside_text']} outside."
        )
    rows = [
        (ui.chip(*MARKS[line["says"]]), f"{line['points']:+.1f}", escape(line["text"]), escape(line["would"]))
        for line in sorted(cause["lines"], key=lambda line: -abs(line["points"]))
    ]
    ui.table(("Says", "Points", "What is known", "What would change it"), rows, numeric=(1,))


def _changes(found: Mapping[str, Any]) -> None:
    if not found["changes"]:
        st.caption("Nobody recorded a change in the day before.")
        return
    rows = [
        (
            escape(str(one["at"])[:16].replace("T", " ")),
            f"{one['minutes']:+.0f} min",
            escape(str(one["event"]).replace("_", " ")),
            escape(str(one["text"])),
        )
        for one in found["changes"]
    ]
    ui.table(("When (UTC)", "From the onset", "What", "Said"), rows, numeric=(1,), when=(0,))


def _disagreements(now: View, row: IncidentRow, found: Mapping[str, Any] | None) -> None:
    told = data_incidents.reports(*now.at).filter(
        (pl.col("kind") == "cause") & (pl.col("incident_id") == row.incident_id)
    )
    for one in reversed(told.to_dicts()):
        said = json.loads(one["summary"])
        st.html(
            f'<div class="cp-quote">{escape(WORDS.get(said["cause"], said["cause"]))}: {escape(said["reason"])}'
            f"<span>{escape(said['actor'])} sees it otherwise, {escape(clock(one['created_at'], now.state.meta.now))}</span></div>"
        )
    with st.expander("You see it otherwise?"):
        st.caption("What you say is kept beside the ranking and in the report; the ranking does not change by it.")
        kind = st.selectbox("The cause is", list(WORDS), format_func=WORDS.__getitem__, key="disagree_kind")
        first = str(found["causes"][0]["kind"]) if found and found["causes"] else ""
        send = acting.asked(
            now, "incident_disagree", "On record.", incident=row.incident_id, cause_kind=kind, ranked=first
        )
        acting.button(
            now, "disagree", "Say so", f"On record in your name: the cause is {WORDS[kind]}.", Permission.RESPOND, send
        )
