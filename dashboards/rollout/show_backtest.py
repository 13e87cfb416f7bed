"""The Rollout page's view of backtests: did the policy keep its promise on history, the report, and a new run."""

from __future__ import annotations

from html import escape

import streamlit as st

from controlplane.core.policy import Policy
from controlplane.core.roles import Permission
from dashboards import data, filters, tasks, ui
from dashboards.rollout import backtest as rollout_backtest
from dashboards.rollout import data as data_rollout
from dashboards.rollout.values import Backtest
from dashboards.shell import View
from dashboards.words import stamp

REPLAYS = ("500", "2000", "5000")


def show(now: View, policy: Policy) -> None:
    """Verdict, run, list, report."""
    found = data_rollout.backtests(*now.at)
    mine = rollout_backtest.of_policy(found, policy.hash)
    ui.section(
        "Would it have kept its promise?",
        "The policy on this workspace's own history: its conversations are dealt to both arms anew, many times, so every rollback is a false one.",
    )
    headline, sentence, tone = rollout_backtest.verdict(mine)
    st.html(f'<div class="cp-hero cp-edge-{tone}"><p><b>{escape(headline)}</b> {escape(sentence)}</p></div>')
    _run(now, policy)
    if not found:
        return
    head = (
        "When",
        "Policy",
        "Promise",
        "Rolled back falsely",
        "At most (95 %)",
        "Promised",
        "Triggers judged",
        "Conversations",
    )
    ui.table(
        head, rollout_backtest.rows(found[:10], policy.hash, now.state.meta.now), numeric=(3, 4, 5, 6, 7), when=(0,)
    )
    _report(now, found)


def _run(now: View, policy: Policy) -> None:
    """Ask for a run, with a bar; its result stands in the list with the next snapshot."""
    tasks.failed("backtest")
    replays = filters.pick("replays", "Harmless replays", REPLAYS, REPLAYS[0], lambda text: f"{int(text):,}")
    actor = now.person.name or "dashboards"
    answer = tasks.button(
        now, "backtest", "Run the backtest", "rollout_backtest", {"replays": int(replays)}, Permission.QUERY, actor
    )
    if not now.person.may(Permission.QUERY):
        st.caption("Without a log-in: `controlplane policy backtest in-force` does the same on the command line.")
    st.caption(
        "Every run is recorded, and a failed one bars releases under this policy until somebody overrides it by name;"
        f" {int(replays):,} replays can show a promise down to about {3 / int(replays):.2%}."
    )
    if answer is not None:
        words = {
            "kept": "The promise was kept.",
            "broken": "The promise was BROKEN.",
            "not shown": "No promise was broken; more replays would show it.",
        }
        text = f"{words.get(answer['verdict'], answer['verdict'])} Done in {answer['seconds']:.0f} s; the record is in the next snapshot."
        (st.error if answer["failing"] else st.success)(text)


def _report(now: View, found: tuple[Backtest, ...]) -> None:
    """The stored report in a frame of its own, without scripts."""
    names = tuple(one.artefact_id for one in found[:10])
    told = {one.artefact_id: f"{stamp(one.created_at)[:16]} UTC" for one in found}
    chosen = filters.pick("backtest", "Report", names, names[0], told.__getitem__) if len(names) > 1 else names[0]
    one = next(item for item in found if item.artefact_id == chosen)
    path = rollout_backtest.report(one, now.config.home)
    if path is None:
        st.caption("The report's file is gone from the workspace; run the backtest again.")
        return
    page = data.report_html(str(path), path.stat().st_mtime_ns)
    st.download_button(
        "Download the report", page.encode(), path.name, "text/html", key="backtest_report", on_click="ignore"
    )
    if st.toggle("Show the report", value=True, key="backtest_show"):
        inner = escape(page, quote=True)
        frame = f'<iframe sandbox="" srcdoc="{inner}" style="border:0;width:100%;height:100vh;background:#fff" title="Backtest report"></iframe>'
        st.iframe(f"<body style='margin:0'>{frame}</body>", height=900, alt="Report of the backtest")
