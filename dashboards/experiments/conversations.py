"""The last part of the Experiments page: the conversations themselves, through the control process. CUPED on and off, more segments, quantiles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from controlplane.core.metrics import METRICS
from controlplane.core.roles import Permission
from controlplane.store.queries import load
from dashboards import filters, tasks, ui
from dashboards.experiments import charts, units, words
from dashboards.experiments.effects import Stage
from dashboards.shell import View
from dashboards.words import value_text

SEGMENTS = {"intent": "First intent", "segment": "Customer segment", "region": "Region", "channel": "Channel"}
VIEWS = {"cuped": "What was expected, taken out", "segments": "By segment", "quantiles": "Quantiles"}
QUERIES = ("experiment/rollout_create", "experiment/rollout_expected", "experiment/rollout_stages")
Answer = Mapping[str, Any]


def show(now: View, chosen: Sequence[Stage], metric: str) -> None:
    """The button, its bar, and what was found."""
    ui.section(
        "Conversation by conversation",
        "Sharper than sums: what was to be expected of each conversation is taken out (CUPED), any known property splits it,"
        " and quantiles are compared as well.",
    )
    stage = chosen[0].key if len(chosen) == 1 else ""
    rollout = chosen[0].rollout_id
    asked = {"rollout": rollout, "stage": stage}
    key = f"experiment_{rollout}_{stage}"
    if not now.person.may(Permission.QUERY):
        ui.empty(
            "This needs the conversations, which are in no snapshot.",
            f"Log in as an operator, or run `controlplane experiment analyze --rollout {rollout} --segment intent --anytime` where the workspace is.",
        )
        return
    answer = tasks.button(now, key, "Analyse the conversations", "experiment_run", asked, Permission.QUERY)
    tasks.failed(key)
    if answer is not None:
        _found(now, answer, metric)


def _found(now: View, answer: Answer, metric: str) -> None:
    for reason in answer["not_trusted_because"]:
        st.error(reason)
    ratio = answer["sample_ratio"]
    healthy = "Split as configured" if not ratio["mismatch"] else "Split broken"
    st.caption(
        f"{answer['units']:,} conversations, as known at {answer['as_of'][:16].replace('T', ' ')} UTC. {healthy}:"
        f" {ratio['counted']['assistant']:,} on the assistant, {ratio['expected']['assistant']:,.0f} expected"
        f" (p {ratio['anytime_p']:.2g} at any look)."
    )
    shown = filters.pick("show", "Show", list(VIEWS), "cuped", lambda key: VIEWS[key])
    if shown == "cuped":
        _cuped(now, answer)
    elif shown == "segments":
        _segments(now, answer, metric)
    else:
        _quantiles(now, answer)
    _take_along(answer)


def _cuped(now: View, answer: Answer) -> None:
    on = filters.switch("cuped", "Take out what was to be expected (CUPED)", default=True)
    st.caption(
        units.cuped_sentence(answer)
        + " Expected of a conversation: what the baseline did with the same first intent and segment, learnt on the other half of them."
    )
    head = [
        "Measure",
        "Assistant",
        now.baseline.capitalize(),
        f"Against the {now.baseline}",
        "Difference",
        "Interval shorter by",
        "n",
        "Verdict",
    ]
    rows = []
    for metric, row in units.comparisons(answer):
        found = units.interval_of(row, on)
        gain = units.narrower(row)
        side = row if on or not row.get("cuped") else row["cuped"]["without"]
        closed = found is not None and None not in (found["low"], found["high"])
        rows.append(
            (
                f"<b>{escape(metric.title)}</b>",
                value_text(metric, side.get("mean_treated")),
                value_text(metric, side.get("mean_control")),
                words.bar(metric, found["low"], found["estimate"], found["high"], None) if closed and found else "",
                escape(units.span_text(metric, found)),
                units.gain_text(gain),
                f"{row['n_treated']:,} / {row['n_control']:,}",
                ui.chip(row["verdict"], units.tone(row["verdict"])),
            )
        )
    ui.table(head, rows, numeric=(1, 2, 4, 5, 6))
    st.caption(
        "95 % intervals that hold at any look. Verdicts rest on the intervals with CUPED, corrected over all measures (Holm)."
    )


def _segments(now: View, answer: Answer, name: str) -> None:
    metric = METRICS[name if name in answer["metrics"] else next(iter(answer["metrics"]))]
    column = filters.pick("by", "Split by", list(SEGMENTS), "intent", lambda key: SEGMENTS[key])
    table = units.table_of(answer, column, metric.name)
    frame = None if table is None else units.forest_frame(table, cuped=True)
    if table is None or frame is None or frame.is_empty():
        ui.empty(
            f"No {SEGMENTS[column].lower()} has final values of {metric.title} on both arms yet.",
            f"A value is final {units.not_final(answer, metric.name)} after its conversation began.",
        )
        return
    mixed = table["heterogeneity"]
    chart = charts.forest(frame, metric, mixed["common"] if mixed else None, now.colours, now.baseline)
    marked = frame.filter(frame["verdict"].is_in(["better", "worse"]))
    said = (
        "; ".join(f"{row['name']} {row['verdict']}" for row in marked.to_dicts())
        or "none of them better or worse for sure"
    )
    ui.figure(chart, f"{metric.title} by {SEGMENTS[column].lower()}: {said}", "forest_units")
    left_out = f" {table['levels_left_out']} smaller ones are left out." if table["levels_left_out"] else ""
    alike = "" if mixed is None else f" Whether the effect differs between them: p {mixed['p']:.2g}."
    st.caption(
        f"{metric.title}, ranked by effect, n in brackets. Verdicts are corrected over all segments and measures (Benjamini-Hochberg):"
        f" at most 5 % of those called better or worse are luck.{alike}{left_out}"
    )


def _quantiles(now: View, answer: Answer) -> None:
    rows = units.quantile_rows(answer)
    if not rows:
        ui.empty(
            "No resolution time is final on both arms yet.",
            f"It is final {units.not_final(answer, 'resolution_time')} after the conversation began."
            if "resolution_time" in answer["maturity_seconds"]
            else "It was not asked for.",
        )
        return
    head = ["Stage", "Quantile", "Assistant", now.baseline.capitalize(), "Difference", "Verdict"]
    made = [(*map(escape, row[:5]), ui.chip(row[5], units.tone(row[5]))) for row in rows]
    ui.table(head, made, numeric=(2, 3, 4))
    st.caption(
        "Resolution time of conversations that the arm resolved, within each stage: quantiles cannot be averaged over stages."
        " Intervals are distribution-free, right for one look, and not corrected for one another."
    )


def _take_along(answer: Answer) -> None:
    with st.popover("Data and SQL", key="export_experiment"):
        left, right = st.columns(2)
        table = units.flat(answer).write_csv().encode()
        left.download_button("CSV", table, "experiment.csv", "text/csv", key="csv_experiment", on_click="ignore")
        whole = json.dumps(dict(answer), indent=1).encode()
        right.download_button(
            "JSON", whole, "experiment.json", "application/json", key="json_experiment", on_click="ignore"
        )
        st.caption(
            "On the command line the same of all stages, with nothing taken out (CUPED is on this page only); and the queries that collect the"
            " conversations from the facts:"
        )
        st.code(
            f"controlplane experiment analyze --rollout {answer['rollout']} --segment intent --anytime --json",
            language="bash",
        )
        st.code("\n".join(load(name).strip() + ";\n" for name in QUERIES), language="sql")
