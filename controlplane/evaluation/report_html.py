"""The report of an evaluation as one HTML file: no script, no request to anywhere, light and dark.

The answer comes first, then each criterion with its interval, the comparison, the slices, the calibration, the rows to look at, and at the end
what makes it reproducible: every hash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.core.acceptance import EVALUATION_METRICS
from controlplane.evaluation.cases import SLICE_KEYS, Case
from controlplane.evaluation.report_svg import interval, reliability
from controlplane.evaluation.runner import Outcome

ROWS_SHOWN = 40
ANSWERS = {
    "PASS": "may enter the first phase",
    "FAIL": "must not go on",
    "INCONCLUSIVE": "is not shown to be good enough",
    "NO_DATA": "was not measured in all that was asked",
    "ERROR": "could not be judged",
}
_SLICE_HEADS = {
    "intent_accuracy": "intent right",
    "resolution_rate": "resolved",
    "hallucination_rate": "hallucinated",
    "misrouting_rate": "misrouted",
    "over_routing_rate": "over-routed",
    "out_of_scope_rejected": "rejected",
    "escalation_rate": "escalated",
}


def report(run: Mapping[str, Any], outcomes: Sequence[Outcome], cases: Sequence[Case]) -> str:
    """The page. `run` is `jobs.evaluation_run.run_json`."""
    title = f"{run['release']}: {run['verdict']}"
    parts = [
        _answer(run),
        _criteria(run["criteria"]),
        _comparison(run.get("comparison")),
        _slices(run["slices"]),
        _figures(run["figures"], run["reliability"]),
        _rows(outcomes, cases),
        _origin(run),
    ]
    style = files("controlplane").joinpath("report_style.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _answer(run: Mapping[str, Any]) -> str:
    verdict = run["verdict"]
    open_ones = [item for item in run["criteria"] if item["applied"] and item["verdict"] != "PASS"]
    passed = sum(item["applied"] and item["verdict"] == "PASS" for item in run["criteria"])
    data = ", ".join(f"{name}@{version[:12]}" for name, version in sorted(run["datasets"].items()))
    reasons = "".join(f"<li><b>{escape(item['name'])}</b>: {escape(item['reason'])}</li>" for item in open_ones)
    return (
        f'<p class="soft">Offline evaluation {escape(run["run_id"])}, {escape(str(run["finished_at"])[:19].replace("T", " "))} UTC</p>'
        f'<section class="card answer {verdict.lower()}"><div><h1>Release {escape(run["release"])} {ANSWERS[verdict]}</h1>'
        f"<p>{_badge(verdict)} &nbsp; {passed} of {passed + len(open_ones)} criteria passed on {run['rows']} rows of {escape(data)}.</p>"
        f"{f'<ul>{reasons}</ul>' if reasons else ''}</div></section>"
    )


def _criteria(items: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for item in items:
        failing = [s for s in item["slices"] if s["verdict"] == "FAIL"]
        note = f"<small>fails for {escape(', '.join(s['value'] for s in failing))}</small>" if failing else ""
        rows.append(
            f"<tr><td>{escape(item['name'])}<small>{escape(EVALUATION_METRICS[item['metric']].text)}</small>{note}</td>"
            f"<td>{_line(item)}</td><td class='number'>{_value(item['estimate'], item['unit'])}"
            f"<small>{_ends(item)}</small></td><td>{interval(item)}</td>"
            f"<td class='number'>{item['n']}</td><td>{_badge(item['verdict'] if item['applied'] else 'SKIP')}</td></tr>"
        )
    head = (
        "<tr><th>criterion</th><th>asks</th><th class='number'>estimate</th><th>interval and line</th>"
        "<th class='number'>n</th><th>verdict</th></tr>"
    )
    caption = "The whole interval must lie on the green side of the line. Registered before this release was run on this data."
    return f"<h2>Acceptance criteria</h2><div class='card'>{_table(head, rows, caption)}</div>"


def _comparison(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    rows = [
        f"<tr><td>{escape(name)}</td><td class='number'>{_signed(item['estimate'], EVALUATION_METRICS[name].unit)}"
        f"<small>{_signed(item['low'], EVALUATION_METRICS[name].unit)} to {_signed(item['high'], EVALUATION_METRICS[name].unit)}</small></td>"
        f"<td class='number'>{item['better']}</td><td class='number'>{item['worse']}</td><td class='number'>{item['n']}</td>"
        f"<td class='number'>{'' if item['p'] is None else format(item['p'], '.3g')}</td></tr>"
        for name, item in _in_order(found["metrics"], EVALUATION_METRICS)
    ]
    head = (
        "<tr><th>metric</th><th class='number'>difference</th><th class='number'>rows better</th>"
        "<th class='number'>rows worse</th><th class='number'>n</th><th class='number'>McNemar p</th></tr>"
    )
    caption = f"Against {found['release']} (run {found['run']}) on the same {found['rows']} rows; more is better."
    return f"<h2>Compared with {escape(found['release'])}</h2><div class='card'>{_table(head, rows, caption)}</div>"


def _slices(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    parts = []
    for name, values in _in_order(found, SLICE_KEYS):
        used = [metric for metric in _SLICE_HEADS if any(metric in item for item in values.values())]
        head = "".join(f"<th class='number'>{_SLICE_HEADS[metric]}</th>" for metric in used)
        rows = [
            f"<tr><td>{escape(value)}</td><td class='number'>{item['rows']}</td>"
            + "".join(_cell(item.get(metric)) for metric in used)
            + "</tr>"
            for value, item in values.items()
        ]
        table = _table(
            f"<tr><th>{name}</th><th class='number'>rows</th>{head}</tr>", rows, "Estimate and 95 % interval."
        )
        parts.append(f"<h2>By {name}</h2><div class='card'>{table}</div>")
    return "".join(parts)


def _figures(figures: Mapping[str, Mapping[str, Any]], bins: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f"<tr><td>{escape(name)}<small>{escape(EVALUATION_METRICS[name].text)}; of {escape(EVALUATION_METRICS[name].of)}</small></td>"
        f"<td class='number'>{_value(item['estimate'], EVALUATION_METRICS[name].unit)}<small>{_ends({**item, 'unit': EVALUATION_METRICS[name].unit})}"
        f"</small></td><td class='number'>{item['n']}</td><td><small>{escape(item['method'])}</small></td></tr>"
        for name, item in _in_order(figures, EVALUATION_METRICS)
    ]
    head = "<tr><th>metric</th><th class='number'>estimate</th><th class='number'>n</th><th>interval</th></tr>"
    unmeasured = "Every metric, judged or not, with its 95 % interval; none where no row asks for it."
    whole = f"<h2>All figures</h2><div class='card'>{_table(head, rows, unmeasured)}</div>"
    if not bins:
        return whole
    caption = "<p class='soft'>The diagonal is perfect calibration; a dot below it was too sure. Its area is the share of rows.</p>"
    return f"<h2>Calibration</h2><div class='card'>{reliability(bins)}{caption}</div>{whole}"


def _rows(outcomes: Sequence[Outcome], cases: Sequence[Case]) -> str:
    texts = {case.id: case for case in cases}
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    if not wrong:
        return ""
    rows = [
        f"<tr><td><code>{escape(item.id)}</code><small>{escape(texts[item.id].origin)}</small></td>"
        f"<td>{escape(texts[item.id].turns[0])}<small>{escape('; '.join(item.wrong))}</small>"
        f"<details><summary>what was said</summary>{''.join(f'<p>{escape(text)}</p>' for text in item.said)}</details></td></tr>"
        for item in wrong[:ROWS_SHOWN]
    ]
    caption = f"{min(len(wrong), ROWS_SHOWN)} of {len(wrong)} rows; `controlplane eval show RUN --rows` lists all."
    return f"<h2>Rows to look at</h2><div class='card rows'>{_table('<tr><th>row</th><th>message</th></tr>', rows, caption)}</div>"


def _origin(run: Mapping[str, Any]) -> str:
    source = run.get("source") or {}
    items = {
        **{
            f"answers {key}" if key != "answers" else key: value
            for key, value in source.items()
            if not isinstance(value, Mapping)
        },
        **{f"records {name}": digest for name, digest in sorted((source.get("files") or {}).items())},
        "release hash": run["release_hash"],
        **{f"artefact {name}": value for name, value in sorted(run["artefacts"].items())},
        "criteria": f"{run['criteria_name']} {run['criteria_hash']}",
        **{f"data set {name}": value for name, value in sorted(run["datasets"].items())},
        "outcomes": run["outcomes_hash"],
        "seed": run["seed"],
        "code": run["code_version"],
        "started": run["started_at"],
        "by": run["actor"],
        "result hash": run["result_hash"],
    }
    body = "".join(f"<dt>{escape(key)}</dt><dd><code>{escape(str(value))}</code></dd>" for key, value in items.items())
    return f"<h2>What it rests on</h2><div class='card'><dl>{body}</dl></div>"


def _in_order(found: Mapping[str, Any], order: Collection[str]) -> list[tuple[str, Any]]:
    """Items in a given order: what comes out of the database has its keys sorted."""
    return [(name, found[name]) for name in (*order, *(n for n in sorted(found) if n not in order)) if name in found]


def _table(head: str, rows: Sequence[str], caption: str) -> str:
    return f"<table><caption>{escape(caption)}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _badge(verdict: str) -> str:
    words = {"NO_DATA": "NO DATA", "SKIP": "NOT APPLIED"}
    return f'<span class="badge {verdict.lower()}">{words.get(verdict, verdict)}</span>'


def _line(item: Mapping[str, Any]) -> str:
    words = {"at_most": "at most ", "at_least": "at least ", "not_worse": "not worse by more than "}
    return f"{words[item['comparison']]}{_value(abs(item['line']), item['unit'])}<small>{item['confidence']:.0%} interval</small>"


def _cell(item: Mapping[str, Any] | None) -> str:
    if item is None:
        return "<td class='number soft'>–</td>"
    return (
        f"<td class='number'>{_value(item['estimate'], 'share')}<small>{_ends({**item, 'unit': 'share'})}</small></td>"
    )


def _ends(item: Mapping[str, Any]) -> str:
    if item["estimate"] is None:
        return ""
    if item["low"] is None and item["high"] is None:
        return "no interval"
    unit = item["unit"]
    low, high = (_value(item[key], unit) if item[key] is not None else "?" for key in ("low", "high"))
    return f"{low.removesuffix(' %').removesuffix(' ms')} to {high}"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    match unit:
        case "share":
            return f"{100 * value:.1f} %"
        case "ms":
            return f"{value:,.0f} ms" if value >= 10 else f"{value:.2f} ms"
        case _:
            return f"${value:.3g}" if value >= 0.001 or value == 0 else f"${value:.6f}"


def _signed(value: float | None, unit: str) -> str:
    if value is None:
        return "?"
    return f"{100 * value:+.1f} pts" if unit == "share" else f"{value:+.3g} {unit}"
