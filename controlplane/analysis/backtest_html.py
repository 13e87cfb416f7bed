"""The report of a backtest as one HTML file: no script, no request to anywhere, light and dark. The answer comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.analysis.backtest_svg import detection, false_rollbacks, legend, ramp

Plain = Mapping[str, Any]
HEADLINES = {
    "kept": "keeps its promise",
    "broken": "breaks its promise",
    "not shown": "is not shown to keep its promise",
}
OURS = "this policy"


def page(result: Plain) -> str:
    """The page of a result of `controlplane.analysis.backtest.backtest` with `failing`, `seconds` and `detail.source`."""
    title = f"Backtest of {result['detail']['policy']['name']}"
    parts = [
        _answer(result),
        _side_by_side(result),
        _power(result["harms"]),
        _delays(result),
        _smallest(result["detail"]),
        _triggers(result["detail"]),
        _stress(result),
        _incidents(result["detail"]["incidents"]),
        _ramp(result["detail"]["history"]),
        _origin(result),
    ]
    style = files("controlplane.analysis").joinpath("backtest_style.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _answer(result: Plain) -> str:
    rollbacks, detail = result["false_rollback"], result["detail"]
    verdict = "broken" if result["failing"] else rollbacks["verdict"]
    best = [row for row in result["harms"] if row["detect_minutes"] is not None]
    facts = [
        (f"{rollbacks['count']} of {rollbacks['replays']:,}", "harmless replays rolled back"),
        (
            f"{rollbacks['judged']} of {rollbacks['triggers']}",
            "triggers that roll back could be judged by this history",
        ),
        (_percent(rollbacks["upper95"]), f"upper 95 % bound; promised {_percent(rollbacks['promised'])}"),
        (f"{len(best)} of {len(result['harms'])}", "injected harms found in half of the replays or more"),
        (
            _percent(max(rival["false_rollback"] for rival in result["rivals"].values())),
            "false rollbacks of the worst other rule",
        ),
    ]
    cards = "".join(
        f"<div class='fact'><b>{escape(value)}</b><span>{escape(words)}</span></div>" for value, words in facts
    )
    reasons = _list([*result["failing"], *(f"{name}: {how}" for name, how in detail["breaks"].items())])
    at_stake = (
        f"The promise covers the whole planned rollout; a history of {detail['history']['days']:.3g} days puts false rollbacks of at most "
        f"{_percent(rollbacks['at_stake'])} at stake."
    )
    return (
        f"<p class='soft'>Backtest, {escape(str(detail.get('at', ''))[:16].replace('T', ' '))} UTC</p>"
        f"<section class='card answer {verdict.replace(' ', '')}'><h1>Policy {escape(detail['policy']['name'])} {HEADLINES[verdict]}</h1>"
        f"<p>{detail['history']['conversations']:,} conversations of arm {escape(detail['history']['arm'])} were dealt to arms anew, "
        f"{rollbacks['replays']:,} times, as the ramp would have. In each replay the release is harmless, so every rollback is false. {at_stake}</p>"
        f"{reasons}<div class='facts'>{cards}</div></section>"
    )


def _side_by_side(result: Plain) -> str:
    rollbacks = result["false_rollback"]
    rows = [(OURS, rollbacks["share"], rollbacks["upper95"], True)]
    rows += [(name.replace("_", " "), r["share"], r["upper95"], False) for name, r in result["rivals"].items()]
    rules = "".join(
        f"<dt>{escape(n.replace('_', ' '))}</dt><dd>{escape(r['rule'])}</dd>" for n, r in result["rivals"].items()
    )
    return (
        "<h2>Harmless releases that would have been rolled back</h2>"
        "<p>The same replays under the rules of other tools. Logarithmic scale; the whisker ends at the upper 95 % bound.</p>"
        f"<div class='card'>{false_rollbacks(rows, rollbacks['promised'])}<dl style='margin-top:14px'>{rules}</dl>"
        "<p class='soft'>Emulated from their documentation on the same matured blocks and limits, which favours them: as documented "
        "they would judge the answers that are in so far.</p></div>"
    )


def _power(harms: Sequence[Plain]) -> str:
    panels = []
    for metric in dict.fromkeys(row["metric"] for row in harms):
        for onset in ("start", "mid-stage"):
            mine = [row for row in harms if row["metric"] == metric and row["onset"] == onset]
            where = "from the start" if onset == "start" else "mid-stage"
            panels.append(
                f"<div><h3>{escape(metric.replace('_', ' '))}, {where}</h3>{detection([(r['harm'], r['curve']) for r in mine])}"
                f"{legend([r['harm'] for r in mine])}</div>"
            )
    return (
        "<h2>How soon harm is found</h2><p>Share of the replays in which an alarm was raised, by time since the harm began. "
        "The wait for mature labels is part of it.</p>"
        f"<div class='card panels'>{''.join(panels)}</div>"
    )


def _delays(result: Plain) -> str:
    names = list(result["rivals"])
    promised = result["false_rollback"]["promised"]
    unsafe = {name for name, rival in result["rivals"].items() if rival["lower95"] > promised}
    head = (
        "<tr><th>harm</th><th class='n'>found</th><th class='n'>this policy<small>median, p95</small></th><th class='n'>customers<br>exposed</th>"
        + "".join(f"<th class='n'>{escape(n.replace('_', ' '))}</th>" for n in names)
        + "</tr>"
    )
    rows = []
    for row in result["harms"]:
        cells = "".join(_rival_cell(row["rivals"].get(name), name in unsafe) for name in names)
        note = "<small>assumed traffic: the control has no such data</small>" if row["assumed"] else ""
        exposed = "–" if row["exposed"] is None else f"{row['exposed']:,}"
        rows.append(
            f"<tr><td>{escape(row['name'])}{note}</td><td class='n'>{row['found']:.0%}</td>"
            f"<td class='n ours'>{_minutes(row['detect_minutes'])}<small>{_minutes(row['p95_minutes'])}</small></td>"
            f"<td class='n'>{exposed}</td>{cells}</tr>"
        )
    caption = (
        "Median time to the first alarm. A percentage instead: the share of replays that the rule had stopped, falsely, before the harm began. "
        "Grey: a rule that rolls back more harmless releases than this policy promises, so its speed is worth little."
    )
    return f"<h2>Detection side by side</h2><div class='card'>{_table(head, rows, caption)}</div>"


def _rival_cell(found: Plain | None, unsafe: bool) -> str:
    if found is None:
        return "<td class='n dim'>–</td>"
    if found["early"] > 0.5:
        return f"<td class='n dim'>{found['early']:.0%} before</td>"
    early = f"<small>{found['early']:.0%} before</small>" if found["early"] >= 0.05 else ""
    return f"<td class='n{' dim' if unsafe else ''}'>{_minutes(found['detect_minutes'])}{early}</td>"


def _smallest(detail: Plain) -> str:
    stages = detail["history"]["stages"]
    head = "<tr><th>trigger</th>" + "".join(
        f"<th class='n'>{escape(s['phase'])} {100 * s['share']:.3g} %<small>{_minutes(s['minutes'])}</small></th>"
        for s in stages
    )
    rows = []
    for row in detail["smallest"]:
        cells = "".join(
            f"<td class='n{'' if size is not None else ' dim'}'>{_size(size, row['unit'])}</td>"
            for size in row["stages"]
        )
        note = "<small>assumed traffic</small>" if row["assumed"] else ""
        rows.append(f"<tr><td>{escape(row['trigger'])}<small>{escape(row['metric'])}</small>{note}</td>{cells}</tr>")
    caption = "Smallest harm that begins with the stage and is found before it ends in 80 % of the replays; – where none is, or labels mature later."
    return f"<h2>What each stage can see</h2><div class='card'>{_table(head + '</tr>', rows, caption)}</div>"


def _size(size: float | None, unit: str) -> str:
    if size is None:
        return "–"
    return f"-{size:g} points" if unit == "points" else f"+{100 * size:g} pts"


def _triggers(detail: Plain) -> str:
    head = (
        "<tr><th>stream</th><th>action</th><th class='n'>history</th><th class='n'>blocks</th><th class='n'>outcomes</th>"
        "<th class='n'>budget</th><th class='n'>alarms</th><th></th></tr>"
    )
    rows = []
    for row in detail["triggers"]:
        level = (
            "–" if row["level"] is None else f"{row['level']:.2f}" if row["metric"] == "csat" else f"{row['level']:.2%}"
        )
        state = "<span class='badge'>history breaks it</span>" if row["breaks"] else ""
        rows.append(
            f"<tr><td>{escape(row['stream'])}<small>{escape(row['metric'])}</small></td><td>{escape(row['action'])}</td>"
            f"<td class='n'>{level}</td><td class='n'>{row['blocks']:,}</td><td class='n'>{row['outcomes']:,}</td>"
            f"<td class='n'>{_percent(row['alpha'])}<small>{row['weight_spent']:.0%} at stake</small></td>"
            f"<td class='n'>{row['count']}</td><td>{state}</td></tr>"
        )
    untested = _list(f"{name} was not judged: {why}" for name, why in detail["untested"].items())
    return (
        "<h2>Triggers</h2><p>Alarms of each stream in the harmless replays.</p>"
        f"<div class='card'>{_table(head, rows, '')}{untested}</div>"
    )


def _stress(result: Plain) -> str:
    head = "<tr><th>what goes wrong</th><th>expected</th><th class='n'>rolled back</th><th class='n'>upper 95 %</th><th></th></tr>"
    rows = []
    for row in result["detail"]["stress"]:
        hidden = f"<small>harm found: {row['harm_found']:.0%}</small>" if "harm_found" in row else ""
        rows.append(
            f"<tr><td>{escape(row['name'].replace('_', ' '))}<small>{escape(row['text'])}</small></td><td>{escape(row['expected'])}{hidden}</td>"
            f"<td class='n'>{row['count']} of {row['replays']}</td><td class='n'>{_percent(row['upper95'])}</td>"
            f"<td><span class='badge {'kept' if row['verdict'] == 'kept' else 'broken' if row['verdict'] == 'broken' else ''}'>"
            f"{escape(row['verdict'])}</span></td></tr>"
        )
    return f"<h2>Under stress</h2><p>Harmless releases while logs or traffic misbehave.</p><div class='card'>{_table(head, rows, '')}</div>"


def _incidents(found: Plain | None) -> str:
    if found is None:
        return ""
    head = "<tr><th>incident</th><th>from</th><th>to</th><th>fired</th><th class='n'>after</th></tr>"
    rows = [
        f"<tr><td>{escape(w['name'])}</td><td>{w['start']}</td><td>{w['end']}</td>"
        f"<td>{escape(', '.join(w['streams'])) if w['fired'] else 'no' if w['in_history'] else 'outside the history'}</td>"
        f"<td class='n'>{_minutes(w['after_minutes'])}</td></tr>"
        for w in found["windows"]
    ]
    outside = _list(f"outside all windows: {a['stream']} at {a['at']}" for a in found["alarms_outside"])
    return f"<h2>Labelled incidents</h2><p>{escape(found['mode'])}</p><div class='card'>{_table(head, rows, '')}{outside}</div>"


def _ramp(history: Plain) -> str:
    return (
        f"<h2>The ramp that was replayed</h2><div class='card'>{ramp(history['stages'])}{_list(history['notes'])}</div>"
    )


def _origin(result: Plain) -> str:
    detail, history = result["detail"], result["detail"]["history"]
    left = ", ".join(f"{n:,} {why}" for why, n in (history["left_out"] or {}).items()) or "none"
    items = {
        "policy": f"{detail['policy']['name']} {detail['policy']['hash']}",
        "history": f"{detail.get('source', '')}: {history['conversations']:,} conversations, {history['units']:,} units",
        "span": f"{history['from']} to {history['to']}",
        "left out": left,
        "history hash": history["hash"],
        "seed": detail["seed"],
        "code": detail.get("code", ""),
        "took": f"{result.get('seconds', 0.0)} s",
    }
    body = "".join(f"<dt>{escape(key)}</dt><dd><code>{escape(str(value))}</code></dd>" for key, value in items.items())
    return f"<h2>What it rests on</h2><div class='card'><dl>{body}</dl></div>"


def _table(head: str, rows: Sequence[str], caption: str) -> str:
    return f"<table><caption>{escape(caption)}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _minutes(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 120:
        return f"{value:g} min"
    return f"{value / 60:.1f} h" if value < 2880 else f"{value / 1440:.1f} d"
