"""Incidents: what happened, how fast it was found and contained, why, and what is still to be done."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from urllib.parse import quote

import polars as pl
import streamlit as st

from controlplane.core.incident import is_over
from controlplane.core.incident_clock import Due
from controlplane.store.state_rows import IncidentRow
from dashboards import acting, filters, ui
from dashboards.incidents import charts as charts_incidents
from dashboards.incidents import data as data_incidents
from dashboards.incidents import one as incidents_one
from dashboards.incidents import values as incidents_values
from dashboards.incidents import words as incidents_words
from dashboards.shell import View, view

PERIODS = {"30": "30 days", "90": "90 days", "365": "1 year"}
LISTED = 50
REPORT = {
    Due.RUNNING: ("report running", "wait"),
    Due.SOON: ("report due soon", "wait"),
    Due.OVERDUE: ("report OVERDUE", "bad"),
}


def main() -> None:
    """One incident where the address names one, else all of them."""
    now = view()
    acting.outcome()
    asked = st.query_params.get("incident", "")
    if not asked:
        _all(now)
        return
    found = [row for row in now.state.incidents if row.incident_id == asked]
    if not found:
        st.html('<p class="cp-small"><a href="?">All incidents</a></p>')
        ui.empty(
            "There is no such incident.",
            "It may be of another workspace, or a little newer than this page: `controlplane incident list` shows all of them.",
        )
        return
    incidents_one.page(now, found[0])


def _all(now: View) -> None:
    days = int(st.query_params.get("days", "90")) if st.query_params.get("days", "90") in PERIODS else 90
    until = now.state.meta.now
    since = until - timedelta(days=days)
    rows = incidents_values.within(now.state, since, until)
    changes = incidents_values.changes(now.state, since, until)
    items = data_incidents.actions(*now.at)
    todo = items.filter(pl.col("outcome") == "")
    late = todo.filter(pl.col("due_at").is_not_null() & (pl.col("due_at") <= until)).height
    ui.hero(incidents_words.overview(now.state.open_incidents, rows, changes, (todo.height, late), days))
    filters.pick("days", "Look back", list(PERIODS), "90", PERIODS.__getitem__)
    _measures(now, rows, since)
    if not now.state.incidents:
        ui.empty(
            "Nothing has happened yet.",
            "An incident opens by itself when a trigger fires. Rehearse one before customers do: `controlplane drill safety_bypass`.",
        )
        return
    if rows:
        _where_time_went(now, rows)
    _list(now)
    if items.height:
        ui.section("To do", "What people wrote down after incidents, with an owner and a day (UTC). Open ones first.")
        incidents_one.items_table(items, until, with_incident=True)


def _measures(now: View, rows: tuple[IncidentRow, ...], since: datetime) -> None:
    """The delivery measures (DORA), in five figures."""
    changes = incidents_values.changes(now.state, since, now.state.meta.now)
    ui.section(
        "How fast, how often",
        "The delivery measures of DORA. A change is a release that starts, or a deploy into a running one; it failed when it was taken back.",
    )
    grid = st.grid(columns=5, min_column_width=160, key="grid_dora")
    with grid.cell():
        ui.tile("Change-fail rate", *incidents_words.change_rate(changes))
    for speed in incidents_values.speeds(rows).values():
        with grid.cell():
            ui.tile(speed.title, *incidents_words.speed(speed))


def _where_time_went(now: View, rows: tuple[IncidentRow, ...]) -> None:
    ui.section(
        "Where the time went",
        "Minutes from each incident's likely onset, newest first. Red: customers could meet it. Amber: seen to be contained, not yet resolved. "
        "Grey: open, and nothing was cut. \u25bc detected, \u25cf acknowledged, \u25c6 cut verified.",
    )
    frame = incidents_values.spans(rows, now.state.meta.now)
    if frame.is_empty():
        st.caption("No incident of this time has lasted long enough to draw.")
        return
    parts = [f"{row['name']}: {row['what']} for {row['took']}" for row in frame.to_dicts()]
    chart = charts_incidents.spans(frame, incidents_values.marks(rows), now.colours)
    ui.figure(chart, "Time spent in each incident. " + "; ".join(parts), "incident_spans")


def _list(now: View) -> None:
    ui.section(
        "All incidents",
        "Open ones first, then the newest; times in UTC. Open one to see its timeline, causes and report.",
    )
    over = [row for row in reversed(now.state.incidents) if is_over(row.state)]
    newest = [*now.state.open_incidents, *over]
    ui.table(
        ("", "What happened", "Detected", "To detect", "To contain", "To resolve", "Customers", "In charge"),
        [_row(now, row) for row in newest[:LISTED]],
        numeric=(3, 4, 5, 6),
        when=(2,),
    )
    if len(newest) > LISTED:
        st.caption(f"The first {LISTED} of {len(newest):,}; `controlplane incident list` shows all of them.")


def _row(now: View, row: IncidentRow) -> tuple[str, ...]:
    said = incidents_values.clock_of(row)
    chips = ui.chip(row.state.capitalize(), ui.INCIDENT_TONES.get(row.state, "bad"))
    due = incidents_values.report_due(row, now.state.meta.now)
    chips += " " + ui.chip(*REPORT[due]) if due in REPORT else ""
    met = "\u2013" if row.customers_exposed is None else f"{row.customers_exposed:,}"
    return (
        chips,
        f'<div class="cp-wide"><a href="?incident={quote(row.incident_id)}">{escape(row.title)}</a></div>',
        ui.when(row.detected_at, now.state.meta.now),
        *(
            "\u2013" if value is None else incidents_words.seconds(value)
            for value in (said.to_detect, said.to_contain, said.to_resolve)
        ),
        met,
        escape(row.owner) or "nobody",
    )


main()
