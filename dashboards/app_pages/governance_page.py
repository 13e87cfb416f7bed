"""Governance: does the record hold, what is in force, who let what in, what was evaluated and drilled; and the evidence to take away."""

from __future__ import annotations

import streamlit as st

from dashboards import acting, filters, ui
from dashboards.governance import data as data_governance
from dashboards.governance import evaluation as governance_evaluation
from dashboards.governance import record as governance_record
from dashboards.governance import values as governance_values
from dashboards.governance import views as governance_views
from dashboards.governance.values import VERDICTS
from dashboards.shell import View, view
from dashboards.words import clock

VIEWS = {
    "record": ("Record", governance_record.page),
    "force": ("In force", governance_views.in_force),
    "releases": ("Releases", governance_views.releases),
    "evaluation": ("Evaluation", governance_evaluation.evaluation),
    "drills": ("Drills", governance_views.drill_table),
    "pack": ("Evidence pack", governance_record.pack),
}


def main() -> None:
    """Config, answer, figures, the chosen view."""
    now = view()
    acting.outcome()
    found = data_governance.check(*now.at)
    aside = data_governance.in_force(*now.at, now.state.meta.now).height
    contained = len(now.state.rollout.contained) if now.state.rollout else 0
    runs = data_governance.table(*now.at, "runs")
    verdict = runs["verdict"][0] if runs.height else None
    ui.hero(governance_values.answer(found, now.state.meta.now, aside + contained, verdict))
    _figures(now, aside + contained)
    chosen = filters.pick("show", "Show", list(VIEWS), "record", lambda name: VIEWS[name][0])
    VIEWS[chosen][1](now)


def _figures(now: View, aside: int) -> None:
    """The record in four figures."""
    state = now.state
    found = data_governance.check(*now.at)
    grid = st.grid(columns=4, min_column_width=150, key="grid_record")
    with grid.cell():
        newest = clock(state.log[0].moment, state.meta.now) if state.log else "nothing yet"
        ui.tile("Rows of the audit log", f"{found.last or 0:,}", f"the newest {newest}")
    with grid.cell():
        ui.tile("Set aside", str(aside), "triggers, alerts, topics", "wait" if aside else None)
    with grid.cell():
        runs = data_governance.table(*now.at, "runs")
        if runs.is_empty():
            ui.tile("Newest evaluation", "none", "no release was evaluated yet", "quiet")
        else:
            run = runs.row(0, named=True)
            word, tone = VERDICTS.get(run["verdict"] or "", ("Not finished", "wait"))
            ui.tile("Newest evaluation", word, f"{run['release']}, {clock(run['started_at'], state.meta.now)}", tone)
    with grid.cell():
        drills = governance_values.newest_drills(data_governance.audit(*now.at).to_dicts())
        failed = sum(not one["ok"] for one in drills.values())
        note = (
            (f"{failed} not as expected" if failed else "all as expected") if drills else "rehearse before it happens"
        )
        ui.tile("Drills carried out", str(len(drills)), note, "bad" if failed else None)


main()
