"""Drift, for data scientists: which columns moved between two windows, by how much, since when, what came with it; Evidently's report beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from dashboards import charts, export, filters, ui
from dashboards.answers import QUIET, Answer
from dashboards.drift import charts as charts_drift
from dashboards.drift import data as data_drift
from dashboards.drift import frames as drift_frames
from dashboards.drift import run as drift_run
from dashboards.drift import words
from dashboards.drift.words import Row
from dashboards.experiments.parts import foot
from dashboards.experiments.words import bar
from dashboards.shell import View, view
from dashboards.values import DriftReport
from dashboards.words import clock, difference_text, percent, plain, value_text

NONE = ""
MOST_COLUMNS = 12
MOST_SPLITS = 4


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    above = st.container()
    report, other = _choose(now, drift_run.form(now))
    if report is None:
        with above:
            ui.hero(
                Answer(
                    "Has the traffic changed? Nobody has looked yet.",
                    "No drift analysis has been made in this workspace.",
                    QUIET,
                )
            )
        ui.empty(
            "No drift analysis yet.",
            "`controlplane drift run --hours 24` compares the last day with the time before it; the monthly job does it by itself.",
        )
        return
    rows = words.rows(report)
    with above:
        ui.hero(words.answer(rows, now.state.meta.now))
    _tiles(report, rows)
    _scores(now, report, rows)
    _heat(now, report, rows)
    _column(now, report, rows)
    _came_with(now, report)
    if other is not None:
        _beside(now, report, other)
    _table(now, rows)
    _evidently(now, report)


def _choose(now: View, made: DriftReport | None) -> tuple[DriftReport | None, DriftReport | None]:
    """The analysis to show (the newest, or the one that the address names) and one to set beside it, if any."""
    reports = {report.artefact_id: report for report in now.state.drift}
    if made is not None:
        reports = {made.artefact_id: made} | reports
        if st.session_state.get("drift_seen") != made.artefact_id:
            st.session_state["drift_seen"] = st.session_state["drift_report"] = made.artefact_id
    if not reports:
        return None, None
    names = list(reports)
    asked = st.query_params.get("report", "")
    index = names.index(asked) if asked in reports else 0
    left, right = st.columns(2)
    chosen = left.selectbox(
        "Analysis", names, index=index, format_func=lambda name: words.label(reports[name]), key="drift_report"
    )
    others = [NONE, *(name for name in names if name != chosen)]
    beside = st.query_params.get("beside", NONE)
    other = right.selectbox(
        "Set beside it",
        others,
        index=others.index(beside) if beside in others else 0,
        format_func=lambda name: words.label(reports[name]) if name else "no other analysis",
        key="drift_beside",
    )
    for name, value, default in (("report", chosen, names[0]), ("beside", other, NONE)):
        if value != default:
            st.query_params[name] = value
        elif name in st.query_params:
            del st.query_params[name]
    return reports[chosen], reports.get(other or NONE)


def _cells(key: str) -> list[Any]:
    """Four places side by side, two in a row on a phone."""
    grid = st.grid(columns=4, min_column_width=150, key=key)
    return [grid.cell() for _ in range(4)]


def _tiles(report: DriftReport, rows: Sequence[Row]) -> None:
    windows, reference = report.summary["windows"], report.summary.get("reference") or {}
    cells = _cells("drift_tiles")
    for cell, side, label in ((cells[0], "current", "Now"), (cells[1], "reference", "Compared with")):
        most = max((row[f"{side}_rows"] for row in rows), default=0)
        with cell:
            ui.tile(
                label,
                words.window(windows[side]),
                f"{words.side(windows[side])} \u00b7 {most:,.0f} requests \u00b7 UTC",
            )
    broken = sum(row["is_broken"] for row in rows)
    moved = len(words.moved(rows))
    compared = sum(row["score"] is not None for row in rows)
    with cells[2]:
        ui.tile(
            "Columns that moved", f"{moved} of {compared}", f"{broken} broken", "bad" if moved or broken else "good"
        )
    unclear, silent = (sum(row["verdict"] == name for row in rows) for name in ("INCONCLUSIVE", "NO_DATA"))
    with cells[3]:
        ui.tile("Cannot be told", f"{unclear + silent}", f"{unclear} unclear, {silent} without data")
    told = [f"Compared with {windows['reference']['label']}"]
    if reference.get("version"):
        told[0] = f"registered as {reference['name']}, version {reference['version']}"
    told += [str(reference["note"])] if reference.get("note") else []
    st.caption(f"{plain('; '.join(told))}. Drift is told to people; it decides nothing.")


def _scores(now: View, report: DriftReport, rows: Sequence[Row]) -> None:
    ui.section(
        "How far each column moved",
        "Score as a multiple of its threshold (dashed line). Numbers: Wasserstein distance in standard deviations of the reference;"
        " categories: Jensen-Shannon distance. Computed on all rows.",
    )
    frame = drift_frames.scores(rows, MOST_COLUMNS)
    if frame.is_empty():
        ui.empty(
            "No column could be compared.",
            "The table below says why; choose windows in which both sides have interactions.",
        )
        return
    said = "; ".join(f"{row['column']} {row['ratio']:.1f} times its threshold" for row in frame.head(3).to_dicts())
    ui.figure(charts.drift_scores(frame, now.colours), f"Drift of each column: {said}", "drift_scores")
    compared = sum(row["score"] is not None for row in rows)
    rest = (
        f"The {frame.height} strongest of {compared}; the others are in the table below. "
        if compared > frame.height
        else ""
    )
    with foot(
        f"{rest}A column has moved when it is beyond its threshold and its test says so after Holm's correction over all columns."
    ):
        stored = data_drift.columns(*now.at, report.artefact_id)
        if stored.is_empty():
            st.caption("Data follows with the next snapshot.")
        else:
            export.offer("drift_columns", stored, data_drift.COLUMNS, {"artefact": report.artefact_id})


def _heat(now: View, report: DriftReport, rows: Sequence[Row]) -> None:
    frame = drift_frames.heat(report, rows, MOST_COLUMNS)
    if frame.is_empty():
        return
    bucket = (report.summary.get("timeline") or {}).get("bucket", "bucket")
    ui.section(
        "When it moved",
        f"Distance to the reference per {bucket}, beyond what chance gives. The stronger the colour, the farther; red: beyond its threshold."
        " Upright line: the current window begins. Times in UTC.",
    )
    beyond = frame.filter(pl.col("ratio") >= 1.0)
    firsts = {row["column"]: row["start"] for row in reversed(beyond.to_dicts())}
    said = "; ".join(f"{name} first beyond its threshold at {at:%H:%M}" for name, at in list(firsts.items())[:4])
    ui.figure(
        charts_drift.heat(frame, words.moment(report.summary["windows"]["current"]["since"]), now.colours),
        f"Movement over time: {said or 'no column beyond its threshold'}",
        "drift_heat",
    )


def _column(now: View, report: DriftReport, rows: Sequence[Row]) -> None:
    """One column in full."""
    ui.section("One column", "What it looked like in both windows, and its distance to the reference over time.")
    names = [row["column"] for row in rows]
    asked = st.query_params.get("column", names[0])
    start = names.index(asked) if asked in names else 0
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    chosen = left.selectbox("Column", names, index=start, format_func=words.title, key="drift_column")
    st.query_params["column"] = chosen
    row = next(one for one in rows if one["column"] == chosen)
    right.html(f"<div>{ui.chip(words.word(row), words.tone(row))} {escape(words.why(row))}</div>")
    cells = st.columns(2)
    with cells[0]:
        _distribution(now, row)
    with cells[1]:
        _timeline(now, report, row)
    st.caption(plain(f"{words.onset_sentence(row, now.state.meta.now)} {_figures(row)}".strip()))


def _distribution(now: View, row: Row) -> None:
    name, unit = words.title(row["column"]), words.unit(row["column"])
    told = row.get("distribution") or {}
    bins, shares = drift_frames.bins(row), drift_frames.shares(row)
    if not bins.is_empty():
        before, after = (told["quantiles"][side][2] for side in drift_frames.SIDES)
        alt = f"{name}: median {words.number(before)} {unit} in the reference, {words.number(after)} now"
        chart = charts_drift.histogram(bins, unit, bool(told.get("logarithmic")), now.colours)
        ui.figure(chart, alt, "drift_distribution")
        st.html('<div class="cp-legend"><i class="cp-grey"></i>reference<i></i>now</div>')
    elif not shares.is_empty():
        most = max(shares.to_dicts(), key=lambda one: abs(one["current"] - one["reference"]))
        alt = (
            f"{name}: {most['value']} went from {percent(most['reference'])} to {percent(most['current'])} of the rows"
        )
        ui.figure(charts_drift.categories(shares, now.colours), alt, "drift_distribution")
        st.caption("Grey tick: the reference. Dot: now.")
    else:
        ui.empty(
            "No distribution was kept.",
            "A side has no values, or the analysis is older than this page; run it again above.",
        )


def _timeline(now: View, report: DriftReport, row: Row) -> None:
    frame = drift_frames.timeline(report, row)
    if frame.height < 2:
        ui.empty("No course over time.", "The column has values in fewer than two moments of these windows.")
        return
    current = report.summary["windows"]["current"]
    windows = pl.DataFrame({"since": [words.moment(current["since"])], "until": [words.moment(current["until"])]})
    onset = words.moment(row["onset"]) if row.get("onset") else None
    last = frame["score"].to_list()[-1]
    alt = f"{words.title(row['column'])}: distance {last:.2f} at the end, its threshold is {row['threshold']:g}"
    ui.figure(charts_drift.timeline(frame, row["threshold"], onset, windows, now.colours), alt, "drift_timeline")
    st.caption("Shaded: the current window. Dashed red: the threshold.")


def _figures(row: Row) -> str:
    parts = []
    if row["score"] is not None:
        parts.append(f"{row['method']} {row['score']:.3f} of {row['threshold']:g}")
    if row["corrected_p"] is not None:
        parts.append(f"p {row['corrected_p']:.2g} after correction")
    if row.get("reference_mean") is not None and row.get("current_mean") is not None:
        unit = f" {words.unit(row['column'])}".rstrip()
        parts.append(f"mean {words.number(row['reference_mean'])} \u2192 {words.number(row['current_mean'])}{unit}")
    if row["reference_missing"] or row["current_missing"]:
        parts.append(f"missing {percent(row['reference_missing'])} \u2192 {percent(row['current_missing'])}")
    parts.append(f"rows {row['reference_rows']:,.0f} \u2192 {row['current_rows']:,.0f}")
    return f"{'; '.join(parts)}."


def _came_with(now: View, report: DriftReport) -> None:
    ui.section(
        "What came with it",
        "Outcomes of conversations before and after the moment at which columns began to move, with 95 % intervals that hold at any look."
        " They came together; whether one made the other is not said here.",
    )
    found = drift_frames.splits(report)
    if not found:
        ui.empty(
            "Nothing to set beside it yet.",
            "No outcome is final on both sides of a moment of change: escalations are after 2 h, ratings after a day. Run the analysis again later.",
        )
        return
    for entry in found[:MOST_SPLITS]:
        rows = drift_frames.effect_rows(entry)
        st.html(f'<div class="cp-title">{escape(_split_title(entry, now))}</div>')
        known = [_effect_line(one) for one in rows if one[3] is not None]
        ui.table(["Outcome", "Before", "After", "", "Difference", "n"], known, numeric=(1, 2, 4, 5))
        waiting = [one[0].title for one in rows if one[3] is None]
        if waiting:
            st.caption(f"Too little that is final yet: {', '.join(waiting)}.")
    if len(found) > MOST_SPLITS:
        st.caption(f"And {len(found) - MOST_SPLITS} more moments, in the analysis's summary.json.")


def _split_title(entry: Mapping[str, Any], now: View) -> str:
    names = ", ".join(words.title(name) for name in entry["columns"])
    if entry["split"] == "onset":
        return f"Since {clock(words.moment(entry['at']), now.state.meta.now)}: {names}"
    if entry["split"] == "new categories":
        return f"Conversations with values never seen before ({', '.join(map(str, entry['categories']))}) against the others: {names}"
    return f"The current window against the reference: {names}"


def _effect_line(one: Sequence[Any]) -> tuple[str, ...]:
    metric, before, after, difference, low, high, n_before, n_after = one
    drawn = "" if low is None or high is None else bar(metric, low, difference, high, None)
    ends = ["unbounded" if end is None else difference_text(metric, end) for end in (low, high)]
    said = f"{difference_text(metric, difference)} [{ends[0]}, {ends[1]}]"
    values = [value_text(metric, value) for value in (before, after)]
    return f"<b>{escape(metric.title)}</b>", *values, drawn, escape(said), f"{n_before:,} / {n_after:,}"


def _beside(now: View, report: DriftReport, other: DriftReport) -> None:
    ui.section(
        "Beside the other analysis",
        f"Dot: this analysis. Grey tick: {words.label(other)}. Both as multiples of their thresholds.",
    )
    frame = drift_frames.beside(words.rows(report), words.rows(other), MOST_COLUMNS)
    if frame.is_empty():
        ui.empty("The two have no column in common that was compared.", "Choose another analysis above.")
        return
    count = {name: frame.filter(pl.col("change") == name)["column"].to_list() for name in frame["change"].unique()}
    said = "; ".join(
        f"{name}: {', '.join(columns)}" for name, columns in sorted(count.items()) if name != "moved in neither"
    )
    ui.figure(
        charts_drift.beside(frame, now.colours),
        f"Two analyses: {said or 'nothing moved in either'}",
        "drift_beside_chart",
    )
    st.caption(f"{said[:1].upper()}{said[1:]}." if said else "Nothing moved in either.")


def _table(now: View, rows: Sequence[Row]) -> None:
    ui.section(
        "Column by column",
        "Score of its threshold; p after Holm's correction over all columns; rows in the reference and now.",
    )
    head = ["Column", "Verdict", "Score", "p", "Rows", "Since", "Why"]
    quiet = ("PASS", "NO_DATA")
    for chosen, title in (
        ([row for row in rows if row["verdict"] not in quiet], ""),
        ([row for row in rows if row["verdict"] in quiet], "columns that are stable or have no data"),
    ):
        lines = [_line(row, now) for row in chosen]
        if lines and not title:
            ui.table(head, lines, numeric=(2, 3, 4), when=(5,))
        elif lines:
            with st.expander(f"{len(lines)} {title}"):
                ui.table(head, lines, numeric=(2, 3, 4), when=(5,))


def _line(row: Row, now: View) -> tuple[str, ...]:
    score = "\u2013"
    if row["score"] is not None:
        score = f'<span title="{escape(row["method"])}">{row["score"]:.3f} of {row["threshold"]:g}</span>'
    return (
        f'<span title="{escape(row["column"])}">{escape(words.title(row["column"]))}</span>',
        ui.chip(words.word(row), words.tone(row)),
        score,
        "\u2013" if row["corrected_p"] is None else f"{row['corrected_p']:.2g}",
        f"{row['reference_rows']:,.0f} \u2192 {row['current_rows']:,.0f}",
        escape(words.since(row, now.state.meta.now)),
        f'<div style="min-width:12rem">{escape(words.why(row))}</div>',
    )


def _evidently(now: View, report: DriftReport) -> None:
    """The stored report in a frame: it is served in a sandbox of its own (`door_http.Reports`), so nothing of the page is in its reach."""
    ui.section(
        "Evidently's report", "Distributions of up to 100,000 rows a side. It illustrates; the verdicts above decide."
    )
    name = report.summary.get("report")
    path = now.config.home / report.path / str(name)
    if not name:
        st.caption(
            f"There is no report: {report.summary.get('report_error') or 'it was not asked for'}. The numbers above don't depend on it."
        )
    elif not _inside(path, now.config.home) or not path.is_file():
        st.caption(f"The report's file {report.path}/{name} is gone from the workspace; run the analysis again.")
    elif filters.switch("evidently", "Show the report"):
        st.iframe(f"/{report.path}/{name}", height=900, alt="Evidently drift report")


def _inside(path: Path, home: Path) -> bool:
    return path.resolve().is_relative_to(home.resolve())


main()
