"""What releases were held to and how they did: runs, the data they ran on, the criteria; a view of the Governance page."""

from __future__ import annotations

import json
from html import escape
from urllib.parse import quote

import polars as pl
import streamlit as st

from dashboards import export, ui
from dashboards.governance import charts as charts_governance
from dashboards.governance import data as data_governance
from dashboards.governance import values as governance_values
from dashboards.governance.record import noted, select
from dashboards.governance.values import VERDICTS
from dashboards.shell import View
from dashboards.words import plain, stamp

DASH = "\u2013"
SHOWN = 50


def evaluation(now: View) -> None:
    """Runs against criteria that were fixed beforehand; their data; how both changed."""
    runs = data_governance.table(*now.at, "runs")
    if runs.is_empty():
        ui.section("Evaluation")
        ui.empty(
            "No release was evaluated yet.",
            "Register criteria first, then run: `controlplane criteria register FILE`, `controlplane evaluate`.",
        )
    else:
        _run(now, runs)
        _runs(runs)
    _data(now)
    _criteria(now)


def _run(now: View, runs: pl.DataFrame) -> None:
    rows = {one["run_id"]: one for one in runs.head(SHOWN).to_dicts()}
    ui.section(
        "Does a release do what was agreed?",
        "Each result with its 95 % interval against the line that was registered before anybody had seen this release on this data.",
    )
    names = {
        run: f"{one['release']}, {stamp(one['started_at'])[:16]}: {VERDICTS.get(one['verdict'] or '', ('not finished', ''))[0].lower()}"
        for run, one in rows.items()
    }
    chosen = rows[select("run", "Run", list(rows), names.__getitem__, next(iter(rows)))]
    word, tone = VERDICTS.get(chosen["verdict"] or "", ("Not finished", "wait"))
    on = governance_values.data_words(chosen["datasets"])
    st.html(ui.head(f"{chosen['release']} under {chosen['criteria_name']}", ui.chip(word, tone)))
    st.caption(plain(f"On {on}, by {chosen['actor']}, seed {chosen['seed']}, program {chosen['code_version']}."))
    found = governance_values.lines(chosen["lines"])
    frame = governance_values.rooms(found)
    if not frame.is_empty():
        alt = "Room to the line: " + ", ".join(
            f"{one['name']} {one['room']:+.0%} ({one['verdict']})" for one in frame.to_dicts()
        )
        ui.figure(charts_governance.rooms(frame, now.colours), alt, "governance_rooms")
    table = [
        (
            ui.chip(*VERDICTS.get(one["verdict"], ("Unknown", "quiet")))
            if one["applied"]
            else ui.chip("Not applied", "quiet"),
            escape(governance_values.criterion(one["name"])),
            governance_values.number(one["estimate"], one["unit"]),
            f"{governance_values.number(one['low'], one['unit'])} to {governance_values.number(one['high'], one['unit'])}"
            if one["low"] is not None
            else DASH,
            f"{one['comparison'].replace('_', ' ')} {governance_values.number(one['line'], one['unit'])}",
            f"{one['n']:,}",
        )
        for one in found
    ]
    with st.expander("Every line in numbers", expanded=frame.is_empty()):
        ui.table(("", "What", "Result", "95 % interval", "Line", "Rows"), table, numeric=(2, 3, 4, 5))
        note = "All runs; `lines` holds the results of each."
        export.offer("evaluation", runs, "pages/governance_runs", {}, note)


def _runs(runs: pl.DataFrame) -> None:
    with st.expander(f"All runs ({runs.height})"):
        rows = [
            (
                stamp(one["started_at"])[:16],
                f'<a href="?show=evaluation&run={quote(one["run_id"])}">{escape(one["release"])}</a>',
                ui.chip(*VERDICTS.get(one["verdict"] or "", ("Not finished", "wait"))),
                escape(one["criteria_name"]),
                escape(governance_values.data_words(one["datasets"])),
                escape(one["actor"]),
            )
            for one in runs.head(SHOWN).to_dicts()
        ]
        ui.table(("Started (UTC)", "Release", "Verdict", "Criteria", "Data", "By"), rows, when=(0,))


def _data(now: View) -> None:
    ui.section(
        "Data sets",
        "Versions of the questions that releases are evaluated on. What an incident taught is added as rows. Newest first.",
    )
    found = data_governance.table(*now.at, "datasets")
    if found.is_empty():
        ui.empty("No data set is registered.", "`controlplane dataset register NAME FILE` registers one.")
        return
    rows = [
        (
            stamp(one["created_at"])[:16],
            f"<b>{escape(one['name'])}</b> {noted(one['version'])}",
            f"{one['rows']:,}",
            f"{one['added']:+,}",
            _origin(str(one["origin"])),
            escape(one["actor"]),
        )
        for one in found.head(SHOWN).to_dicts()
    ]
    ui.table(("When (UTC)", "Version", "Rows", "Added", "Why", "By"), rows, numeric=(2, 3), when=(0,))


def _origin(text: str) -> str:
    if text.startswith("incident:"):
        return f'learned from <a href="incidents?incident={quote(text.removeprefix("incident:"))}">an incident</a>'
    return escape(text)


def _criteria(now: View) -> None:
    ui.section(
        "Acceptance criteria",
        "The lines that a release must keep, as they were registered, and why they changed. Newest first.",
    )
    found = data_governance.table(*now.at, "criteria")
    if found.is_empty():
        ui.empty(
            "No criteria are registered.",
            "`controlplane criteria register FILE --actor YOU` registers them, before the first run.",
        )
        return
    rows = [
        (
            stamp(one["registered_at"])[:16],
            f"<b>{escape(one['name'])}</b> {noted(one['criteria_hash'])}",
            escape(governance_values.data_words(one["datasets"])),
            escape(one["reason"] or "first registration"),
            escape("; ".join(json.loads(one["differences"]))) if one["differences"] else DASH,
            escape(one["actor"]),
        )
        for one in found.head(SHOWN).to_dicts()
    ]
    ui.table(("When (UTC)", "Criteria", "For the data", "Why", "What changed", "By"), rows, when=(0,))
