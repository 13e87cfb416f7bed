"""What the assistant understands: what it mixes up, whether its confidence means anything, and the whole confusion matrix on request."""

from __future__ import annotations

from html import escape
from typing import Any

import polars as pl
import streamlit as st

from dashboards import export, filters, ui
from dashboards.answers import QUIET
from dashboards.quality import asked as quality_asked
from dashboards.quality import charts as charts_quality
from dashboards.quality import html as quality_html
from dashboards.quality.values import (
    Calibration,
    Confusion,
    calibration,
    confusions,
    matrix,
    recognised,
)
from dashboards.quality.words import BASIS_NOTES, calibrated, confusion, count, intent, part
from dashboards.shell import View
from dashboards.words import stamp

TOP = 6


def show(now: View, intents: pl.DataFrame, basis: str, asked: dict[str, Any], query: dict[str, Any]) -> None:
    """The view. asked: since, release for the control process; query: parameters of the query behind `intents`."""
    if not basis:
        ui.empty(
            "Nobody has said what customers meant.",
            "Draw answers for people to label with `controlplane review queue --per-day 50 --actor YOU`, or send `intent_true` with the logs.",
        )
        return
    mixed = confusions(intents, basis)
    left, right = st.columns((11, 9), gap="large")
    with left:
        _mixed(now, mixed, basis, asked)
    with right:
        _calibration(now, calibration(intents, basis))
    _by_intent(now, intents, basis)
    export.offer("quality_intents", intents, "pages/quality_intents", query)


def _mixed(now: View, mixed: tuple[Confusion, ...], basis: str, asked: dict[str, Any]) -> None:
    ui.section("What it mixes up", f"Share of all answers of the assistant, 95 % interval: {BASIS_NOTES[basis]}.")
    if not mixed:
        ui.empty(
            "Nothing was mixed up.", "Every labelled message was taken for what it was. More labels make this surer."
        )
        return
    reach = max(one.share.high for one in mixed[:TOP])
    ui.table(
        ("What happened", "How often", "Rests on"), [quality_html.confusion_row(one, reach) for one in mixed[:TOP]]
    )
    if len(mixed) > TOP:
        st.caption(f"In the matrix below: {count(len(mixed) - TOP, 'rarer mix-up')}.")
    names = {f"{one.truth}~{one.predicted}": one for one in mixed[:TOP]}
    chosen = filters.pick(
        "mixed",
        "Read messages of",
        ("none", *names),
        "none",
        lambda key: "choose a mix-up" if key == "none" else confusion(names[key]),
    )
    if chosen != "none" and not quality_asked.silent(now):
        _messages(now, names[chosen], asked)


def _messages(now: View, one: Confusion, asked: dict[str, Any]) -> None:
    wanted = asked | {"predicted": one.predicted, "truth": one.truth, "most": 5}
    found = quality_asked.rows(now, "quality_confused", wanted, "customers' messages")
    if found is None:
        return
    for row in found[0]:
        sure = "" if row["confidence"] is None else f"it was {part(float(row['confidence']))} sure, "
        at = stamp(quality_html.moment(row["ts"]))[:16]
        whole = quality_html.conversation(str(row["conversation_id"]), "the whole conversation")
        told = f"{escape(sure)}named by {escape(quality_html.judge(str(row['by'])))}, {at} UTC, {whole}"
        st.html(f"{quality_html.bubble('Customer', row['question'])}<div class='cp-small'>{told}</div>")


def _calibration(now: View, found: Calibration | None) -> None:
    ui.section(
        "Does its confidence mean anything?",
        "How often it is right where it says it is that sure; dashed: as it should be. Bars: 95 % intervals.",
    )
    if found is None:
        ui.empty("No labelled answer has a confidence.", "Confidence comes with the logs as `intent_conf`.")
        return
    frame = pl.DataFrame(
        [
            {
                "said": one.said,
                "right": one.right.value,
                "low": one.right.low,
                "high": one.right.high,
                "labels": one.right.n,
                "answers": one.answers,
            }
            for one in found.bins
        ]
    )
    words, tone = calibrated(found)
    spread = ", ".join(f"says {part(one.said)}, right {part(one.right.value)}" for one in found.bins)
    ui.figure(
        charts_quality.calibration(frame, now.colours),
        f"{words} By bins of confidence: {spread}.",
        "quality_calibration",
    )
    chip = (
        ui.chip("Trustworthy" if found.consistent else "Off", tone) if found.n >= 100 else ui.chip("Few labels", QUIET)
    )
    st.html(
        f"<p>{chip} {escape(words)}</p><div class='cp-small'>Expected calibration error {100 * found.error:.1f} percentage points;"
        f" {100 * found.chance:.1f} would be chance with these {found.n:,} labels. Larger dots stand for more answers.</div>"
    )


def _by_intent(now: View, intents: pl.DataFrame, basis: str) -> None:
    rows = recognised(intents, basis)
    ui.section(
        "Subject by subject",
        "Share of the messages on each subject that were recognised (recall), least recognised first; 95 % intervals.",
    )
    with st.expander(f"{len(rows)} subjects", expanded=False):
        head = ("What the customer meant", "Recognised", "95 % interval", "Labels", "Mostly mistaken for")
        ui.table(head, [quality_html.recognised_row(*row) for row in rows], numeric=(1, 2, 3))
    if not filters.switch("matrix", "Show the full matrix"):
        return
    cells = matrix(intents, basis)
    names = sorted({*cells["truth"], *cells["predicted"]})
    order = [intent(name) for name in names]
    named = cells.with_columns(
        truth=pl.col("truth").replace_strict(names, order),
        predicted=pl.col("predicted").replace_strict(names, order),
        wrong=pl.col("truth") != pl.col("predicted"),
        label=pl.col("n").cast(pl.String),
    )
    worst = (
        ", ".join(f"{confusion(one)} {one.share.hits} times" for one in confusions(intents, basis)[:3])
        or "nothing was mixed up"
    )
    alt = f"Confusion matrix of {len(names)} subjects, rows what customers meant, columns what they were taken for. Most frequent: {worst}."
    ui.figure(charts_quality.matrix(named, order, now.colours), alt, "quality_matrix")
