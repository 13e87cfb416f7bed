"""Drift, for data scientists: which columns moved between two windows, by how much, and Evidently's report beside it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from controlplane.analysis.drift_timeline import sparkline
from dashboards import charts, data, ui
from dashboards.answers import Answer
from dashboards.shell import View, view
from dashboards.values import DriftReport
from dashboards.words import stamp

TONES = {"PASS": "good", "FAIL": "bad", "ERROR": "bad", "INCONCLUSIVE": "wait", "NO_DATA": "quiet"}
WORDS = {"PASS": "Stable", "FAIL": "Drifted", "ERROR": "Broken", "INCONCLUSIVE": "Unclear", "NO_DATA": "No data"}
ORDER = ("ERROR", "FAIL", "INCONCLUSIVE", "PASS", "NO_DATA")
SCHEMA = {"column": pl.String, "ratio": pl.Float64, "tone": pl.String, "verdict": pl.String}
SCHEMA |= {"score": pl.Float64, "threshold": pl.Float64, "method": pl.String}


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    report = _choose(now)
    if report is None:
        ui.empty(
            "No drift analysis yet.",
            "`controlplane drift run --hours 24` compares the last day with the time before it; the monthly job does it by itself.",
        )
        return
    columns = _columns(report.summary)
    _verdict(report, columns)
    _scores(now, columns)
    _table(columns)
    _evidently(now, report)


def _choose(now: View) -> DriftReport | None:
    """The analysis to show: the newest, or the one that the address names."""
    reports = {report.artefact_id: report for report in now.state.drift}
    if not reports:
        return None
    asked = st.query_params.get("report", "")
    names = list(reports)
    index = names.index(asked) if asked in reports else 0
    if len(names) > 1:
        chosen = st.selectbox(
            "Analysis", names, index=index, format_func=lambda name: _label(reports[name]), key="drift_report"
        )
        st.query_params["report"] = chosen
        return reports[chosen]
    return reports[names[0]]


def _label(report: DriftReport) -> str:
    windows = report.summary["windows"]
    return f"{stamp(report.created_at)[:16]} UTC: {windows['current']['label']} against {windows['reference']['label']}"


def _columns(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns, broken ones first, then the worst, strongest effect first; `broken`: names of those that are broken or have lost values."""
    broken = set(summary.get("broken", ()))
    rows = [{"column": name, **values, "broken": broken} for name, values in summary["columns"].items()]
    return sorted(rows, key=lambda row: (row["column"] not in broken, ORDER.index(row["verdict"]), -_ratio(row)))


def _word(row: Mapping[str, Any]) -> str:
    return WORDS["ERROR" if row["column"] in row["broken"] else row["verdict"]]


def _ratio(row: Mapping[str, Any]) -> float:
    return float(row["score"] / row["threshold"]) if row["score"] is not None and row["threshold"] else 0.0


def _verdict(report: DriftReport, columns: list[dict[str, Any]]) -> None:
    moved = [row["column"] for row in columns if row["verdict"] == "FAIL" and row["column"] not in row["broken"]]
    broken = [row["column"] for row in columns if row["column"] in row["broken"]]
    unclear = sum(row["verdict"] == "INCONCLUSIVE" for row in columns)
    compared = sum(row["score"] is not None for row in columns)
    tone = "bad" if moved or broken else "wait" if unclear or not compared else "good"
    headline = "Has the traffic changed? " + (
        f"Yes, in {len(moved)} of {compared} columns."
        if moved
        else "A column is broken."
        if broken
        else "Unknown."
        if not compared
        else "Not visibly."
    )
    parts = [f"Drifted: {', '.join(moved)}" if moved else "", f"broken: {', '.join(broken)}" if broken else ""]
    parts.append(f"{unclear} unclear" if unclear else "")
    sentence = (
        "; ".join(part for part in parts if part) or f"{compared} columns compared, none moved beyond its threshold"
    )
    ui.hero(Answer(headline, f"{sentence[:1].upper()}{sentence[1:]}.", tone))
    windows = report.summary["windows"]
    told = [f"{side}: {_window(windows[side])}" for side in ("current", "reference")]
    reference = report.summary.get("reference") or {}
    if reference.get("version"):
        told.append(f"registered as {reference['name']}, version {reference['version']}")
    if reference.get("note"):
        told.append(str(reference["note"]))
    st.caption(" \u00b7 ".join(told))


def _window(window: Mapping[str, Any]) -> str:
    span = f"{window['since'][:16].replace('T', ' ')} to {window['until'][:16].replace('T', ' ')} UTC"
    return f"{window['label']} ({span}{', ' + window['arm'] + ' only' if window['arm'] else ''})"


def _scores(now: View, columns: list[dict[str, Any]]) -> None:
    ui.section(
        "How far each column moved",
        "Score as a multiple of its threshold; dashed line: the threshold. Numbers: Wasserstein distance in standard deviations of the"
        " reference; categories: Jensen-Shannon distance. Computed on all rows.",
    )
    rows = [
        {
            "column": row["column"],
            "ratio": _ratio(row),
            "tone": TONES[row["verdict"]],
            "verdict": _word(row),
            "score": row["score"],
            "threshold": row["threshold"],
            "method": row["method"],
        }
        for row in columns
        if row["score"] is not None
    ]
    if not rows:
        ui.empty(
            "No column could be compared.",
            "The table below says why; choose windows in which both sides have interactions.",
        )
        return
    frame = pl.DataFrame(rows, schema=SCHEMA).sort("ratio", descending=True)
    ui.figure(
        charts.drift_scores(frame, now.colours), "Drift score of each column against its threshold", "drift_scores"
    )


def _table(columns: list[dict[str, Any]]) -> None:
    """What wants attention, and the rest behind a click."""
    ui.section(
        "Column by column",
        "Score of its threshold; p after Holm's correction over all columns; rows of the reference and of the current window.",
    )
    quiet = ("PASS", "NO_DATA")
    loud = [row for row in columns if row["verdict"] not in quiet]
    if loud:
        _lines(loud)
    rest = [row for row in columns if row["verdict"] in quiet]
    if rest:
        with st.expander(f"{len(rest)} columns that are stable or have no data", expanded=not loud):
            _lines(rest)


def _lines(columns: list[dict[str, Any]]) -> None:
    rows = [
        (
            escape(row["column"]),
            ui.chip(_word(row), TONES[row["verdict"]]),
            _score(row),
            "\u2013" if row["corrected_p"] is None else f"{row['corrected_p']:.2g}",
            f"{row['reference_rows']:,.0f} \u2192 {row['current_rows']:,.0f}",
            _line(row),
            escape(_since(row)),
            escape(_why(row)),
        )
        for row in columns
    ]
    head = ["Column", "Verdict", "Score", "p", "Rows", "Timeline", "Since", "Why"]
    ui.table(head, rows, numeric=(2, 3, 4), when=(5, 6))


def _score(row: Mapping[str, Any]) -> str:
    if row["score"] is None:
        return "\u2013"
    return f'<span title="{escape(row["method"])}">{row["score"]:.3f} of {row["threshold"]:g}</span>'


def _line(row: Mapping[str, Any]) -> str:
    """Distance per day or hour as a row of bars; a full bar is twice the threshold, or the longest distance where that is more."""
    series = (row.get("timeline") or {}).get("score") or []
    return f'<span title="full bar: twice the threshold, or the longest distance">{escape(sparkline(series[-30:], 2 * row["threshold"]))}</span>'


def _since(row: Mapping[str, Any]) -> str:
    """When it began, where that can be told."""
    detail = row.get("onset_detail")
    if row.get("onset"):
        return f"{str(row['onset'])[:16].replace('T', ' ')} UTC"
    return str(detail["shape"]) if detail else "\u2013"


def _why(row: Mapping[str, Any]) -> str:
    """The reason without the score and threshold that have columns of their own."""
    if row["score"] is None:
        return str(row["reason"])
    measured = f"{row['method']} {row['score']:.3g} of {row['threshold']:g}"
    return str(row["reason"]).removeprefix(measured).removesuffix(f"; {measured}").lstrip(";, ").removeprefix("but ")


def _evidently(now: View, report: DriftReport) -> None:
    """The stored report in a frame without an origin: its own scripts run, nothing else of the page is in its reach."""
    ui.section(
        "Evidently's report", "Distributions of up to 100,000 rows a side. It illustrates; the verdicts above decide."
    )
    name = report.summary.get("report")
    path = now.config.home / report.path / str(name)
    if not name:
        st.caption(
            f"There is no report: {report.summary.get('report_error') or 'it was not made'}. The numbers above don't depend on it."
        )
    elif not _inside(path, now.config.home) or not path.is_file():
        st.caption(f"The report's file {report.path}/{name} is gone from the workspace; run the analysis again.")
    elif st.toggle("Show the report", value=True, key="drift_show"):
        page = escape(data.report_html(str(path), path.stat().st_mtime_ns), quote=True)
        style = "border:0;width:100%;height:100vh;background:#fff"
        frame = f'<iframe sandbox="allow-scripts" srcdoc="{page}" style="{style}" title="Evidently report"></iframe>'
        st.iframe(f"<body style='margin:0'>{frame}</body>", height=900, alt="Evidently drift report")


def _inside(path: Path, home: Path) -> bool:
    return path.resolve().is_relative_to(home.resolve())


main()
