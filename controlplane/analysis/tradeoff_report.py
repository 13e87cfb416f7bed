"""The trade-off as one HTML file: no script, no request to anywhere, light and dark.

The answer first, then the three measurements with interval, count and maturity, the table with the cell that holds, the savings, the two
questions, and what it all rests on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.analysis.tradeoff import TABLE, Cost, Course, Latency, Satisfaction, dollars

COLOURS = {
    str(Course.GROW): "pass",
    str(Course.OPTIMISE): "inconclusive",
    str(Course.HOLD): "no_data",
    str(Course.ROLL_BACK): "fail",
}
GOOD = {str(Satisfaction.UPLIFT), str(Latency.WITHIN), str(Cost.WITHIN)}
BAD = {str(Satisfaction.DROP), str(Latency.BEYOND), str(Cost.ABOVE)}
WIDTH, HEIGHT = 240, 34


def report(found: Mapping[str, Any], assumed: Sequence[str]) -> str:
    """The page. `found` is what `controlplane tradeoff --json` prints; `assumed` names the assumptions left at their default."""
    asked = found["question"]
    parts = [
        _answer(found, asked),
        _measures(found, asked),
        _table(found),
        _savings(found["savings"]),
        _question("Fine-tune?", found["fine_tune"]),
        _question("API or own GPU?", found["hardware"]),
        _origin(found, asked, assumed),
    ]
    style = "".join(
        files(package).joinpath(name).read_text(encoding="utf-8")
        for package, name in (("controlplane", "report_style.css"), ("controlplane.analysis", "tradeoff_report.css"))
    )
    title = f"Trade-off {asked['release'] or 'of all releases'}: {found['verdict']}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _answer(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    name = f"Release {escape(asked['release'])}" if asked["release"] else "All releases"
    said = found["reason"] if found["data"] else "there is no data in this window: ingest logs, or name another one"
    return (
        f'<p class="soft">{name} &middot; {_time(asked["since"])} to {_time(asked["until"])} UTC</p>'
        f'<section class="card answer {COLOURS[found["verdict"]]}"><div><h1>{escape(found["verdict"].capitalize())}</h1>'
        f"<p>{escape(said[:1].upper() + said[1:])}.</p></div></section>"
    )


def _measures(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    rated, fast, spent = found["satisfaction"], found["latency"], found["cost"]
    cards = [
        _card(
            "Satisfaction",
            rated["verdict"],
            _points(rated["interval"]),
            f"{_mean(rated['mean_treated'])} assistant, {_mean(rated['mean_control'])} baseline",
            f"{rated['treated']} and {rated['control']} ratings, mature after {_hours(asked['csat_maturity'])}; exact interval of the difference",
            _interval(rated["interval"], 0.0, up=True),
        ),
        _card(
            "Latency",
            fast["verdict"],
            _share(fast["interval"]),
            "no objective"
            if fast["slo_ms"] is None
            else f"slower than {fast['slo_ms']:,} ms; {fast['limit']:.0%} may be"
            + ("" if fast["p95_ms"] is None else f"; p95 {fast['p95_ms']:,.0f} ms"),
            f"{fast['requests']} first requests; Clopper-Pearson",
            _interval(fast["interval"], fast["limit"], up=False),
        ),
        _card(
            "Cost of a resolved conversation",
            spent["verdict"],
            _money(spent["interval"]),
            "no line to keep"
            if spent["target"] is None
            else f"line {dollars(spent['target'])} ({escape(spent['against'])})",
            f"{spent['resolved']} resolved of {spent['conversations']} conversations, mature after {_hours(asked['cost_maturity'])}; "
            f"{spent['unpriced_share']:.1%} of requests unpriced",
            _interval(spent["interval"], spent["target"], up=False),
        ),
    ]
    return f"<div class='three'>{''.join(cards)}</div>"


def _card(title: str, verdict: str, value: str, line: str, basis: str, picture: str) -> str:
    colour = "pass" if verdict in GOOD else "fail" if verdict in BAD else "no_data"
    return (
        f"<section class='card'><p class='soft'>{escape(title)}</p><p class='value'>{value}</p>"
        f"<p><span class='badge {colour}'>{escape(verdict)}</span></p>{picture}<p>{line}</p><p class='soft small'>{basis}</p></section>"
    )


def _interval(found: Mapping[str, Any] | None, line: float | None, *, up: bool) -> str:
    """The interval with its estimate, and the line it is held against; green lies where it should be."""
    if found is None or line is None or found["low"] is None or found["high"] is None:
        return ""
    low, high, best = (float(found[name]) for name in ("low", "high", "estimate"))
    start, end = min(low, line), max(high, line)
    room = (end - start) * 0.15 or 1.0
    start, end = start - room, end + room

    def place(value: float) -> float:
        return 4 + (WIDTH - 8) * (value - start) / (end - start)

    good = (line, end) if up else (start, line)
    colour = (
        "good" if (low > line if up else high <= line) else "bad" if (high < line if up else low > line) else "none"
    )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="interval {low:.4g} to {high:.4g}, line {line:.4g}">'
        f'<rect x="0" y="14" width="{WIDTH}" height="6" rx="3" fill="var(--track)"/>'
        f'<rect x="{place(good[0]):.1f}" y="14" width="{place(good[1]) - place(good[0]):.1f}" height="6" rx="3" fill="var(--good-soft)"/>'
        f'<line x1="{place(line):.1f}" x2="{place(line):.1f}" y1="5" y2="29" stroke="var(--ink)" stroke-width="1.5"/>'
        f'<line x1="{place(low):.1f}" x2="{place(high):.1f}" y1="17" y2="17" stroke="var(--{colour})" stroke-width="3.5" stroke-linecap="round"/>'
        f'<circle cx="{place(best):.1f}" cy="17" r="5" fill="var(--{colour})"/></svg>'
    )


def _table(found: Mapping[str, Any]) -> str:
    here = tuple(found[name]["verdict"] for name in ("satisfaction", "latency", "cost"))
    columns = [(latency, cost) for latency in Latency for cost in Cost]
    head = "<tr><th></th>" + "".join(
        f"<th>{escape(lat)}<small>cost {escape(cost)}</small></th>" for lat, cost in columns
    )
    rows = []
    for satisfaction in Satisfaction:
        cells = []
        for latency, cost in columns:
            course = TABLE[satisfaction, latency, cost].course
            mark = " here" if (satisfaction, latency, cost) == here else ""
            short = (
                "roll back" if course is Course.ROLL_BACK else "optimise" if course is Course.OPTIMISE else str(course)
            )
            cells.append(f"<td class='cell {COLOURS[course]}{mark}' title='{escape(course)}'>{escape(short)}</td>")
        rows.append(f"<tr><th scope='row'>{escape(satisfaction)}</th>{''.join(cells)}</tr>")
    caption = "Columns: latency, cost. The framed cell holds. Rolling back is followed by a smaller model or caching."
    return (
        f"<h2>The rule</h2><div class='card'><table class='grid'>{_body(caption, head + '</tr>', rows)}</table></div>"
    )


def _savings(items: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f"<tr><td>{escape(item['title'])}<small>{escape(item['assumption'])}</small></td>"
        f"<td class='number'>{_share(item['served'])}<small>{_ends(item['served'])}</small></td>"
        f"<td class='number'>{_share(item['saved'])}<small>{_ends(item['saved'])}</small></td>"
        f"<td>{_bar(item['saved'])}</td>"
        f"<td class='number'>{_usd(item['usd'])}</td><td class='number'>{item['requests']}</td></tr>"
        for item in items
    ]
    head = (
        "<tr><th>what if</th><th class='number'>requests served</th><th class='number'>model cost saved</th><th></th>"
        "<th class='number'>of this window</th><th class='number'>n</th></tr>"
    )
    caption = "On the logged requests, 95 % intervals of sampling; they do not add up. How good the answers would be, only an evaluation tells."
    return f"<h2>What could be saved</h2><div class='card'><table>{_body(caption, head, rows)}</table></div>"


def _body(caption: str, head: str, rows: Sequence[str]) -> str:
    return f"<caption>{caption}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody>"


def _bar(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    width = max(0.0, min(1.0, found["estimate"])) * 140
    return (
        '<svg width="140" height="14" viewBox="0 0 140 14" aria-hidden="true"><rect width="140" height="8" y="3" rx="4" fill="var(--track)"/>'
        f'<rect width="{width:.1f}" height="8" y="3" rx="4" fill="var(--accent)"/></svg>'
    )


def _question(title: str, found: Mapping[str, Any]) -> str:
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in found["reasons"])
    return f"<h2>{title}</h2><div class='card'><p><b>{escape(found['text'][:1].upper() + found['text'][1:])}</b></p><ul>{reasons}</ul></div>"


def _origin(found: Mapping[str, Any], asked: Mapping[str, Any], assumed: Sequence[str]) -> str:
    notes = "".join(f"<li>{escape(text)}</li>" for text in assumed)
    given = {key: value for key, value in asked["assumptions"].items() if value is not None}
    items = {
        "policy": found["policy_hash"],
        "rollout": asked["rollout"] or "any",
        "blocks": f"{asked['span_seconds']} s",
        "inputs": found["inputs_hash"],
        **{name.replace("_", " "): value for name, value in given.items()},
    }
    body = "".join(f"<dt>{escape(key)}</dt><dd><code>{escape(str(value))}</code></dd>" for key, value in items.items())
    left = f"<p>Left at figures without a source; set your own:</p><ul>{notes}</ul>" if assumed else ""
    return f"<h2>What it rests on</h2><div class='card'>{left}<dl>{body}</dl></div>"


def _usd(value: float | None) -> str:
    return "–" if value is None else dollars(value)


def _time(text: str) -> str:
    return escape(text[:16].replace("T", " "))


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds // 60} min"


def _mean(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _points(found: Mapping[str, Any] | None) -> str:
    if found is None or found["low"] is None:
        return "–"
    return f"{found['estimate']:+.2f} <small>{found['low']:+.2f} to {found['high']:+.2f} points</small>"


def _share(found: Mapping[str, Any] | None) -> str:
    return "–" if found is None else f"{found['estimate']:.1%}"


def _ends(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else f"{found['low']:.1%} to {found['high']:.1%}"


def _money(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{dollars(found['estimate'])} <small>{dollars(found['low'])} to {dollars(found['high'])}</small>"
