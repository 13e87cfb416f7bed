"""The analysis of an experiment as one HTML file: no script, no request to anywhere, light and dark, prints well.

The answer first, then all metrics on one scale, the table, segments, quantiles, time, and what it all rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.analysis.experiment_effects import BETTER, NOT_SHOWN, NOT_TRUSTED, UNKNOWN, WORSE
from controlplane.analysis.experiment_svg import cell, forest, over_days, reach_of
from controlplane.analysis.experiment_words import amount, chance, difference, ends, novelty_words, power_words, share

Value = Mapping[str, Any]
CLASSES = {BETTER: "pass", WORSE: "fail", NOT_SHOWN: "no_data", UNKNOWN: "no_data", NOT_TRUSTED: "inconclusive"}


def report(value: Value) -> str:
    """The page. `value` is what `controlplane experiment analyze --json` prints."""
    parts = [_answer(value), _split(value), _metrics(value)]
    parts += [_segment(table, value) for table in value["segments"]]
    parts += [_quantiles(value), _time(value), _origin(value)]
    style = files("controlplane").joinpath("report_style.css").read_text(encoding="utf-8")
    extra = "svg text.ink{fill:var(--ink);font-size:12.5px}td.number{white-space:nowrap}@media print{.card{break-inside:avoid}}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Experiment: {escape(_name(value))}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}{extra}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _name(value: Value) -> str:
    return f"rollout {value['rollout']}" if value.get("rollout") else str(value.get("file", "")).rsplit("/", 1)[-1]


def _rows(value: Value) -> Iterator[tuple[str, str, Value, Value]]:
    for name, metric in value["metrics"].items():
        for arm, row in metric["arms"].items():
            yield name, arm, metric, row


def _answer(value: Value) -> str:
    words = [row["verdict"] for *_, row in _rows(value)]
    if not value["trusted"]:
        title, kind = "Not to be trusted", "inconclusive"
        said = "".join(f"<p>{escape(reason[:1].upper() + reason[1:])}.</p>" for reason in value["not_trusted_because"])
    else:
        counted = [(word, words.count(word)) for word in (BETTER, WORSE, NOT_SHOWN, UNKNOWN) if word in words]
        title = ", ".join(f"{n} {word}" for word, n in counted).capitalize() or "Nothing to compare"
        kind = "fail" if WORSE in words else "pass" if BETTER in words else "no_data"
        told = [
            f"{name}{_of(arm, value)} is {row['verdict']}"
            for name, arm, _, row in _rows(value)
            if row["verdict"] in (BETTER, WORSE)
        ]
        said = (
            f"<p>{escape('; '.join(told).capitalize())}.</p>"
            if told
            else "<p>No difference is shown at this level.</p>"
        )
    arms = ", ".join(f"{name} {n:,}" for name, n in value["arms"].items())
    return (
        f'<p class="soft">{escape(_name(value))} &middot; {value["units"]:,} units: {escape(arms)} '
        f"&middot; compared with {escape(value['control'])}</p>"
        f'<section class="card answer {kind}"><div><h1>{escape(title)}</h1>{said}</div></section>'
    )


def _of(arm: str, value: Value) -> str:
    return f" of {arm}" if len(value["arms"]) > 2 else ""


def _split(value: Value) -> str:
    ratio = value["sample_ratio"]
    word = "mismatch" if ratio["mismatch"] else "as it should be"
    left = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in value["excluded"].items() if n) or "nothing"
    merged = f" Several rows of one unit: {value['several_rows_a_unit']}." if value["several_rows_a_unit"] else ""
    return (
        f"<h2>Split</h2><section class='card'><p><span class='badge {'inconclusive' if ratio['mismatch'] else 'pass'}'>{word}</span> "
        f"p {chance(ratio['p'])}, at any look {chance(ratio['anytime_p'])}; shares {escape(ratio['shares_are'])}; a mismatch is below "
        f"{ratio['limit']:g}.</p><p class='soft'>Left out: {escape(left)}.{escape(merged)}</p></section>"
    )


def _metrics(value: Value) -> str:
    named = [(f"{name}{_of(arm, value)}", row) for name, arm, _, row in _rows(value)]
    lines = []
    for name, arm, metric, row in _rows(value):
        rate = metric["kind"] == "rate"
        remarks = [power_words(row, rate), *_remarks(metric, row)]
        lines.append(
            f"<tr><td>{escape(name)}{escape(_of(arm, value))}<small>{escape(metric['kind'])}, {metric['direction']} is better</small>"
            f"<small>{escape('; '.join(remarks))}</small></td>"
            f"<td class='number'>{amount(row['mean_control'], rate)}<small>n {row['n_control']:,}</small></td>"
            f"<td class='number'>{amount(row['mean_treated'], rate)}<small>n {row['n_treated']:,}</small></td>"
            f"<td class='number'>{_estimate(row['difference'], rate)}<small>{share(row['relative'])}</small></td>"
            f"<td class='number'>{ends(row['difference'], rate)}<small>any look {ends(row['anytime'], rate)}</small></td>"
            f"<td class='number'>{chance(row['corrected_p'])}<small>alone {chance(row['p'])}</small></td><td>{_badge(row['verdict'])}</td></tr>"
        )
    head = _head(("metric", "control", "treated", "difference", "interval", "corrected p", ""), first=1)
    return (
        f"<h2>Metrics</h2><section class='card'>{forest(named)}<p class='soft'>Relative to the control. Thick: interval for one look; "
        f"thin: for any number of looks.</p></section><section class='card' style='margin-top:14px'><table>{head}{''.join(lines)}</table></section>"
    )


def _remarks(metric: Value, row: Value) -> Iterator[str]:
    if row.get("reason"):
        yield f"unknown because of {row['reason']}"
    if row.get("note"):
        yield row["note"]
    if "cuped" in row:
        yield f"CUPED with {row['cuped']['before']} took out {row['cuped']['variance_removed']:.0%} of the variance"
    missing = sum(metric["missing"].values())
    if missing:
        yield f"{missing:,} units have no value"


def _segment(table: Value, value: Value) -> str:
    rate, reach = value["metrics"][table["metric"]]["kind"] == "rate", reach_of(table["rows"])
    lines = [
        f"<tr><td class='number'>{row['rank']}</td><td>{escape(row['level'])}{_small(row.get('note'))}</td>"
        f"<td class='number'>{row['n_treated']:,}<small>{row['n_control']:,} control</small></td><td>{cell(row, reach)}</td>"
        f"<td class='number'>{_estimate(row['difference'], rate)}<small>{ends(row['difference'], rate)}</small></td>"
        f"<td class='number'>{_estimate(row.get('shrunk'), rate)}</td><td class='number'>{chance(row['corrected_p'])}</td>"
        f"<td class='number'>{chance(row['corrected_differs'])}</td><td>{_badge(row['verdict'])}</td></tr>"
        for row in table["rows"]
    ]
    found = table["heterogeneity"]
    told = "No two segments can be judged."
    if found is not None:
        spread = difference(found["between_sd"], rate).lstrip("+")
        told = f"Do the segments differ? p {chance(found['p'])} (Cochran's Q); true effects vary by about {spread}."
    head = _head(
        ("", table["segment"], "units", "", "difference", "shrunk", "effect: corrected p", "differs: corrected p", ""),
        first=2,
    )
    title = f"{table['metric']}{_of(table['arm'], value)} by {table['segment']}"
    return (
        f"<h2>{escape(title)}</h2><section class='card'><p>{told} Ring: what is left once luck is taken out. "
        f"<span class='soft'>{escape(value['judged']['segment_correction'])}.</span></p><table>{head}{''.join(lines)}</table></section>"
    )


def _quantiles(value: Value) -> str:
    if not value["quantiles"]:
        return ""
    lines = []
    for row in value["quantiles"]:
        control, treated = (
            amount(None if row[name] is None else row[name]["estimate"]) for name in ("control", "treated")
        )
        lines.append(
            f"<tr><td>{escape(row['metric'])}{escape(_of(row['arm'], value))}</td><td class='number'>{row['quantile']:g}</td>"
            f"<td class='number'>{control}</td><td class='number'>{treated}</td>"
            f"<td class='number'>{_estimate(row['difference'], False)}<small>{ends(row['difference'])}</small></td>"
            f"<td>{_badge(row['verdict'])}</td></tr>"
        )
    head = _head(("metric", "quantile", "control", "treated", "difference", ""), first=1)
    how = "Exact quantiles; intervals from order statistics, joined over the arms (MOVER); each stands alone."
    return f"<h2>Quantiles</h2><section class='card'><table>{head}{''.join(lines)}</table><p class='soft'>{how}</p></section>"


def _time(value: Value) -> str:
    found = value["over_time"]
    if found is None:
        return ""
    tenure = found["view"] == "tenure"
    view = (
        "Days since each unit was first seen."
        if tenure
        else "Days on which units came in: one row for a unit, so these are cohorts and cannot show habit."
    )
    parts = []
    for item in found["effects"]:
        rate = value["metrics"][item["metric"]]["kind"] == "rate"
        title = escape(f"{item['metric']}{_of(item['arm'], value)}")
        days = over_days(
            item["days"], [str(row["day"]) for row in item["days"]], rate, item["novelty"]["second_half_from_day"]
        )
        week = over_days(item["weekdays"], [row["weekday"] for row in item["weekdays"]], rate, None)
        parts.append(
            f"<section class='card' style='margin-top:14px'><p><b>{title}</b>: {escape(novelty_words(item['novelty'], rate))}.</p>{days}"
            f"<p class='soft'>By weekday; do they differ? p {chance(item['weekdays_differ_p'])}</p>{week}</section>"
        )
    return f"<h2>Over time</h2><p class='soft'>{view} The second half is shaded.</p>{''.join(parts)}"


def _origin(value: Value) -> str:
    judged = value["judged"]
    rows = [
        ("Interval for one look", judged["interval"]),
        ("Interval for any look", judged["anytime_interval"]),
        ("Relative difference", judged["relative"]),
        (
            "Level",
            f"{judged['alpha']:g}, two-sided; verdicts by {'the sequence' if judged['verdict_by'] == 'anytime_p' else 'the test for one look'}",
        ),
        ("Over metrics and arms", judged["correction"]),
        ("Control", f"{value['control']} ({value['control_is']})"),
        ("Unit", f"{value['unit']}, arm {value['arm']}"),
        *((("File hash", value["file_hash"]),) if value.get("file_hash") else ()),
        *(("Note", note) for note in value.get("notes", ())),
    ]
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(text))}</dd>" for name, text in rows)
    return f"<h2>What this rests on</h2><section class='card'><dl>{lines}</dl></section>"


def _estimate(found: Value | None, rate: bool) -> str:
    return difference(None if found is None else found["estimate"], rate)


def _small(text: str | None) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _badge(word: str) -> str:
    return f"<span class='badge {CLASSES[word]}'>{escape(word)}</span>"


def _head(names: Sequence[str], first: int) -> str:
    cells = (
        f"<th{'' if i < first or not name else ' class=number'}>{escape(name)}</th>" for i, name in enumerate(names)
    )
    return f"<tr>{''.join(cells)}</tr>"
