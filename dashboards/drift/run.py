"""A new drift analysis from the page: which windows, what they are compared with, the run with its bar, and its answer as a report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from shlex import quote
from typing import Any

import streamlit as st

from controlplane.core.roles import Permission
from dashboards import tasks
from dashboards.drift import data as data_drift
from dashboards.drift.words import moment
from dashboards.shell import View
from dashboards.values import DriftReport

KEY = "drift"
LAST, RELEASES, SIDES = "The last hours", "Two releases", "Both arms"
RULES = {
    "": "as the policy says",
    "previous": "the time right before",
    "accepted": "the last accepted release",
    "year": "the same days a year before",
}
LENGTHS: dict[str, dict[str, float]] = {
    "30 minutes": {"hours": 0.5},
    "1 hour": {"hours": 1},
    "6 hours": {"hours": 6},
    "24 hours": {"hours": 24},
    "7 days": {"days": 7},
    "30 days": {"days": 30},
}
ARMS = {"": "as the policy says", "assistant": "the assistant", "baseline": "the baseline"}


def form(now: View) -> DriftReport | None:
    """The form and, while a run goes on, its bar. The report of the newest run of this session, also before a snapshot has it."""
    running = st.session_state.get(f"task_id_{KEY}") is not None
    with st.expander("Run a new analysis", expanded=running, icon=":material/play_arrow:"):
        asked = _asked(now)
        if asked is None:
            return None
        report = st.toggle("Draw Evidently's report as well (some ten seconds more)", value=True, key="drift_draw")
        answer = tasks.button(now, KEY, "Run the analysis", "drift_run", {**asked, "report": report}, Permission.QUERY)
        tasks.failed(KEY)
        if not now.person.may(Permission.QUERY):
            st.caption(f"Where the workspace is, the same is `{command(asked)}`.")
        if answer is not None:
            st.caption(f"Done: analysis {answer['artefact']} is kept in the workspace and shown below.")
    return None if answer is None else fresh(answer)


def fresh(answer: Mapping[str, Any]) -> DriftReport:
    """What the run answered, as a stored analysis."""
    name = str(answer["artefact"])
    summary = {**answer, "report": Path(answer["report"]).name if answer.get("report") else None}
    return DriftReport(name, moment(answer["created_at"]), f"reports/drift/{name}", summary)


def command(asked: Mapping[str, Any]) -> str:
    """The same on the command line."""
    options = [f"--{name.replace('_', '-')} {quote(str(value))}" for name, value in asked.items() if value]
    return " ".join(["controlplane drift run", *options])


def _asked(now: View) -> dict[str, Any] | None:
    """What `jobs.drift_work.run_windows` is asked, from the widgets; None where there is nothing to ask about, and why is said."""
    what = st.segmented_control("Look at", [LAST, RELEASES, SIDES], default=LAST, required=True, key="drift_what")
    left, middle, right = st.columns(3)
    if what == RELEASES:
        names = list(dict.fromkeys(row.release for row in reversed(now.state.stages)))
        if len(names) < 2:
            st.caption("Only one release has been served so far; there is nothing to compare it with.")
            return None
        one = left.selectbox("Release", names, key="drift_release")
        others = [name for name in names if name != one]
        other = middle.selectbox("Against", others, key="drift_against")
        arm = _arm(right)
        return _kept({"release": one, "against": other, "arm": arm})
    fitting = _fitting(now)
    length = left.selectbox("Length", list(LENGTHS), index=fitting, key="drift_length")
    if what == SIDES:
        middle.caption(
            "The assistant against the baseline, at the same time. Both arms must have talked to people in it."
        )
        return {"arm": "assistant", "against_arm": "baseline", **LENGTHS[length]}
    known = [*RULES, *data_drift.references(*now.at)]
    reference = middle.selectbox(
        "Against", known, format_func=lambda name: RULES.get(name, name), key="drift_reference"
    )
    return _kept({**LENGTHS[length], "reference": reference, "arm": _arm(right)})


def _fitting(now: View) -> int:
    """The longest of LENGTHS before which there is as much again to compare with, a day at most."""
    meta, first = now.state.meta, now.state.first
    known = (meta.newest or meta.now) - first if first else timedelta(0)
    fits = [i for i, length in enumerate(LENGTHS.values()) if length.get("hours") and 2 * timedelta(**length) <= known]
    return fits[-1] if fits else 0


def _arm(where: Any) -> str:
    return str(where.selectbox("Arm", list(ARMS), format_func=lambda name: ARMS[name], key="drift_arm"))


def _kept(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value}
