"""Experiments, for data scientists: what a release changes against the baseline, how sure that is at any moment, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.metrics import METRICS
from dashboards import data, export, filters, ui
from dashboards.answers import QUIET, Answer
from dashboards.experiments import charts, words
from dashboards.experiments import conversations as experiments_conversations
from dashboards.experiments import data as data_experiments
from dashboards.experiments import effects as experiments_effects
from dashboards.experiments.effects import Effect, Split, Stage
from dashboards.experiments.parts import foot
from dashboards.measures import maturities
from dashboards.shell import View, view
from dashboards.words import clock, difference_text, duration, percent, title_of

ALL = "All"
BINS = 60
MOST_TRIED = 3  # rollouts that are looked through for one with final outcomes
FIRST_METRIC = "escalation_rate"
PEEKING = (
    "Looking often is safe here: the band is a confidence sequence, wide enough to hold the truth at all moments together (95 %),"
    " so stopping when it leaves zero is no cheating."
)


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    every = experiments_effects.stages(now.state)
    if not every:
        _nothing(now)
        return
    above = st.container()
    first = _with_final_outcomes(now, every)
    chosen, segment, metric = _choose(now, every, first)
    names = experiments_effects.comparable()
    mature = _mature(now)
    drawn = experiments_effects.drawn(chosen)
    spans = tuple(stage.span for stage in drawn)
    sums = data_experiments.sums(*now.at, spans, mature)
    effects = experiments_effects.effects(names, sums, now.state.policy, segment)
    split = experiments_effects.split(drawn, sums)
    with above:
        cut = experiments_effects.rolled_back(now.state, chosen[0].rollout_id)
        told = words.answer(chosen[0].release, now.baseline, effects, split, cut)
        newest = every[-1]
        if chosen[0].rollout_id != newest.rollout_id:
            told = words.of_an_older(told, newest.release, first != newest.rollout_id)
        ui.hero(told)
    _tiles(chosen, effects, split)
    _over_time(now, drawn, effects, metric, segment, dict(mature)[metric])
    asked = data_experiments.sums_params(spans, mature)
    _measures(now, effects, sums, asked)
    _segments(now, metric, sums, data_experiments.sums_params(spans, ((metric, dict(mature)[metric]),)))
    experiments_conversations.show(now, chosen, metric)


def _mature(now: View) -> tuple[tuple[str, datetime], ...]:
    """(metric, until when its values are final) of everything that is compared, and of the traffic."""
    names = experiments_effects.comparable()
    return (*maturities(now.state, names), (experiments_effects.TRAFFIC, now.state.meta.now))


def _nothing(now: View) -> None:
    ui.hero(
        Answer(
            "Nothing has been tried yet.",
            f"Everyone is served by the {now.baseline}. An experiment begins with the first stage of a rollout:"
            " `controlplane release start` opens it.",
            QUIET,
        )
    )
    ui.empty(
        "An experiment from a file?",
        "`controlplane experiment analyze FILE --unit user_id --arm variant --metrics revenue` compares the arms of any file.",
    )


def _choose(now: View, every: Sequence[Stage], first: str) -> tuple[list[Stage], str | None, str]:
    """The stages to look at, the segment (None = all) and the measure of the pictures; all of it stands in the address."""
    releases = _releases(now, every)
    asked = st.query_params.get("release", first)
    named = [stage.rollout_id for stage in reversed(every) if stage.release == asked]
    if asked not in releases and named:  # a link may name the release instead of its rollout
        st.query_params["release"] = named[0]
    grid = st.grid(columns=4, min_column_width=150, key="experiment_filters")
    left, middle, right, last = (grid.cell() for _ in range(4))
    with left:
        release = _list("release", "Release", list(releases), first, lambda name: releases[name])
    mine = [stage for stage in every if stage.rollout_id == release]
    labels = {stage.key: words.stage_label(stage) for stage in mine}
    with middle:
        stage = _list("stage", "Stage", [ALL, *labels], ALL, lambda key: labels.get(key, "All stages"))
    chosen = [one for one in mine if stage in (ALL, one.key)]
    found = data_experiments.sums(
        *now.at, tuple(one.span for one in mine), ((experiments_effects.TRAFFIC, now.state.meta.now),)
    )
    known = sorted(found["segment"].unique().to_list())
    with right:
        segment = _list("segment", "Segment", [ALL, *known], ALL, lambda name: "All segments" if name == ALL else name)
    names = experiments_effects.comparable()
    with last:
        metric = _list("metric", "Measure in the pictures", names, FIRST_METRIC, title_of)
    return chosen, None if segment == ALL else segment, metric


def _with_final_outcomes(now: View, every: Sequence[Stage]) -> str:
    """The newest rollout of which an outcome is final on both arms, else the newest: who comes here wants to see what is known."""
    rollouts = list(dict.fromkeys(stage.rollout_id for stage in reversed(every)))
    for name in rollouts[:MOST_TRIED]:
        drawn = experiments_effects.drawn([stage for stage in every if stage.rollout_id == name])
        sums = data_experiments.sums(*now.at, tuple(stage.span for stage in drawn), _mature(now))
        found = experiments_effects.effects(experiments_effects.comparable(), sums, now.state.policy, None)
        if any(one.found is not None and experiments_effects.outcome(one.metric) for one in found):
            return name
    return rollouts[0]


def _list(param: str, label: str, options: Sequence[str], default: str, shown: Callable[[str], str]) -> str:
    """A list to open, whatever the number of its options: four filters fit side by side."""
    asked = st.query_params.get(param, default)
    start = asked if asked in options else default
    chosen = st.selectbox(label, options, index=list(options).index(start), format_func=shown, key=f"pick_{param}")
    if chosen != default:
        st.query_params[param] = chosen
    elif param in st.query_params:
        del st.query_params[param]
    return str(chosen)


def _releases(now: View, every: Sequence[Stage]) -> dict[str, str]:
    """rollout -> label, the newest first; a release that was rolled out twice is told apart by when."""
    found: dict[str, str] = {}
    names = {stage.rollout_id: stage.release for stage in every}
    first = {stage.rollout_id: stage.since for stage in reversed(every)}
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    for stage in reversed(every):
        when = f" (from {clock(first[stage.rollout_id], now.state.meta.now)})" if stage.release in twice else ""
        found.setdefault(stage.rollout_id, f"{stage.release}{when}")
    return found


def _tiles(chosen: Sequence[Stage], effects: Sequence[Effect], split: Split | None) -> None:
    value, note, tone = words.split_tile(split)
    drawn = [stage for stage in chosen if stage.share < 1.0]
    length = sum(((stage.until - stage.since) for stage in drawn), timedelta())
    judged = [effect for effect in effects if effect.found is not None]
    grid = st.grid(columns=4, min_column_width=150, key="experiment_tiles")
    cells = [grid.cell() for _ in range(4)]
    with cells[0]:
        ui.tile("Split of the traffic", value, note, tone)
    with cells[1]:
        ui.tile("Compared side by side", duration(length) if drawn else "Nothing", _shares(drawn))
    with cells[2]:
        most = max((effect.n_t for effect in judged if experiments_effects.outcome(effect.metric)), default=0)
        ui.tile("Final conversations", f"{most:,}", "on the assistant, of the outcome that has most")
    with cells[3]:
        ui.tile("Measures judged", f"{len(judged)} of {len(effects)}", "the others wait for data or final values")


def _shares(drawn: Sequence[Stage]) -> str:
    shares = list(dict.fromkeys(percent(stage.share) for stage in drawn))
    return f"at a share of {', '.join(shares)}" if shares else "every customer was on one arm"


def _over_time(
    now: View,
    chosen: Sequence[Stage],
    effects: Sequence[Effect],
    name: str,
    segment: str | None,
    mature_until: datetime,
) -> None:
    metric = METRICS[name]
    ui.section(
        f"{metric.title}: how sure, at each moment",
        f"Difference so far, assistant minus {now.baseline}, with its 95 % interval. Zero is the {now.baseline};"
        f" dashed red: the harm that the policy tolerates. Times in UTC.",
    )
    spans = tuple(stage.span for stage in chosen)
    width = _width(now, chosen)
    sums = data_experiments.trace(*now.at, spans, name, mature_until, segment, width)
    frame = experiments_effects.trace(metric, sums)
    effect = next(one for one in effects if one.metric.name == name)
    if frame.is_empty():
        ui.empty(
            f"No final values of {metric.title} on both arms yet.",
            f"A value is final {duration(effect.maturity)} after its conversation began; choose another release, stage or measure above.",
        )
        return
    one_look = filters.switch(
        "onelook", "Show the interval of a single look", help="Narrower, but right only if you look exactly once."
    )
    changes = [(stage.since, words.stage_label(stage)) for stage in chosen if stage.share < 1.0]
    end = frame["start"].to_list()[-1]
    alt = (
        f"{metric.title}, assistant minus {now.baseline}: {words.span_text(effect)} at {clock(end, now.state.meta.now)},"
        f" from {frame.height} moments"
    )
    ui.figure(
        charts.interval_over_time(frame, metric, effect.margin, changes, now.colours, one_look, now.baseline),
        alt,
        "effect_time",
    )
    params = data_experiments.trace_params(spans, name, mature_until, segment, width)
    with foot(
        f"{words.reading(effect)} {PEEKING}{' The dotted interval does not have this property.' if one_look else ''}"
    ):
        export.offer(
            "effect_over_time", sums, data_experiments.TRACE, params, "Sums per bin; add up to get the picture."
        )


def _width(now: View, chosen: Sequence[Stage]) -> int:
    """Seconds of a bin; hours at least where the snapshot keeps hours."""
    since, until = min(stage.since for stage in chosen), max(stage.until for stage in chosen)
    width = data.bin_for(until - since, BINS)
    return max(width, 3600) if since < now.state.meta.minute_from else width


def _measures(now: View, effects: Sequence[Effect], sums: pl.DataFrame, asked: Mapping[str, Any]) -> None:
    ui.section(
        "Every measure",
        f"Eligible conversations, the assistant against the {now.baseline} within each stage and share, never pooled over them."
        " 95 % intervals that hold at any look; verdicts corrected over the table (Holm).",
    )
    tabs = st.tabs(["What customers get", "How it runs"])
    for tab, wanted in zip(tabs, (True, False), strict=True):
        with tab:
            _lines(now, [one for one in effects if experiments_effects.outcome(one.metric) is wanted])
    with foot(
        "Each bar has a scale of its own with zero in the middle; dashed red: the harm that the policy tolerates. Provisional: values so"
        " far, of conversations that are not final; they are never judged. How it runs counts requests, several to a conversation."
    ):
        export.offer("effects", sums, data_experiments.SUMS, asked)


def _lines(now: View, effects: Sequence[Effect]) -> None:
    ordered = sorted(
        effects, key=lambda one: (one.found is None, not one.n_t, one.verdict == experiments_effects.NOT_SHOWN)
    )
    head = [
        "Measure",
        "Assistant",
        now.baseline.capitalize(),
        f"Against the {now.baseline}",
        "Difference",
        "n",
        "Final",
        "Verdict",
    ]
    ui.table(head, [words.row(effect) for effect in ordered], numeric=(1, 2, 4, 5), when=(6,))


def _segments(now: View, name: str, sums: pl.DataFrame, asked: Mapping[str, Any]) -> None:
    metric = METRICS[name]
    levels, mixed = experiments_effects.levels(metric, sums)
    ui.section(
        f"{metric.title}: for whom",
        "The same difference in each customer segment, n in brackets. Dotted: what the segments have in common.",
    )
    known = [level for level in levels if level.found is not None]
    if len(known) < 2:
        ui.empty(
            "There are not two segments with final values on both arms yet.",
            "Choose all stages or another measure; the analysis below also goes by intent, region and channel.",
        )
        return
    rows = [
        (
            f"{level.name} ({level.n_t + level.n_c:,})",
            d.fixed.estimate,
            d.anytime.low,
            d.anytime.high,
            words.level_tone(level),
        )
        for level in known
        if (d := level.found) is not None
    ]
    frame = pl.DataFrame(rows, schema=["name", "estimate", "low", "high", "tone"], orient="row").sort("estimate")
    said = "; ".join(f"{name} {difference_text(metric, estimate)}" for name, estimate, *_ in frame.iter_rows())
    common = mixed.common if mixed else None
    ui.figure(
        charts.forest(frame, metric, common, now.colours, now.baseline), f"{metric.title} by segment: {said}", "forest"
    )
    with foot(words.forest_note(levels, mixed.p if mixed else None, "segments")):
        export.offer("segments", sums.filter(pl.col("metric") == name), data_experiments.SUMS, asked)


main()
