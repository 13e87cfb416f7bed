"""The page on the cause of an incident as one HTML file: no script, no request to anywhere, light and dark, prints on paper.

The answer first, as sure as it is; then each kind of cause with what speaks for and against it and its points; where the change sits; what was
changed when; what would change the answer; and what people say who see it otherwise, with the command that records it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

Plain = Mapping[str, Any]
COLOURS = {"likely": "fail", "contested": "inconclusive", "unknown": "no_data"}
SURE = {"likely": "Likely", "contested": "Contested", "unknown": "Unknown"}
MARKS = {"for": "for", "against": "against", "neutral": "neither", "unknown": "not known"}
BADGES = {"for": "fail", "against": "pass", "neutral": "skip", "unknown": "inconclusive"}
OPEN = 2  # causes whose evidence is unfolded
SCOPES = {
    "treated": "only the assistant changed",
    "both": "both arms changed",
    "baseline": "only the baseline changed",
    "none": "neither arm changed clearly",
    "unknown": "the arms cannot be compared",
}
STYLE = (
    ".bar{height:8px;border-radius:4px;background:var(--track);position:relative;min-width:120px;margin-top:6px}"
    ".bar i{position:absolute;top:0;bottom:0;border-radius:4px}.bar i.f{background:var(--bad)}.bar i.a{background:var(--good)}"
    ".bar b{position:absolute;left:50%;top:-3px;bottom:-3px;width:1px;background:var(--soft)}"
    ".cause{margin-top:12px}.cause summary{color:var(--ink);display:grid;grid-template-columns:2.2em 1fr 180px;gap:10px;align-items:start}"
    ".cause h3{font-size:15px;margin:0}.cause .place{color:var(--soft);font-variant-numeric:tabular-nums}"
    ".evidence td:first-child{width:8.5em}.evidence td:nth-child(2){width:4.5em}.say{border-left:4px solid var(--accent)}"
    ".range{width:220px}.answer ul{margin:6px 0;padding-left:20px}svg{display:block}.near td{font-weight:600}"
    "@media(max-width:760px){.cause summary{grid-template-columns:2em 1fr}.cause .bar{grid-column:2}}"
    "@media print{.card{break-inside:avoid}h2{break-after:avoid}}"
)


def page(found: Plain) -> str:
    """The page. `found` is what `controlplane incident causes --json` prints."""
    parts = [
        _answer(found),
        _people(found),
        _causes(found["causes"]),
        _mind(found["causes"]),
        _slices(found),
        _changes(found["changes"]),
        _numbers(found["shifts"]),
        _limits(found),
    ]
    style = files("controlplane").joinpath("report_style.css").read_text(encoding="utf-8") + STYLE
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Cause of {escape(found['incident'])}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def time_text(value: object) -> str:
    """A time for people, UTC."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return f"{at:%Y-%m-%d %H:%M}Z"


def _answer(found: Plain) -> str:
    window, n = found["window"], found["conversations"]
    head = f"{SURE[found['standing']]}: {_first(found)}" if found["causes"] else "Unknown: there is nothing to compare"
    best = _best(found)
    counts = "; ".join(f"{arm} {sides[0]:,} before, {sides[1]:,} after" for arm, sides in n.items())
    return (
        f'<p class="soft">Root cause &middot; incident <code>{escape(found["incident"])}</code> &middot; {escape(found["title"])}</p>'
        f'<section class="card answer {COLOURS[found["standing"]]}"><div><h1>{escape(head)}</h1>{best}'
        f'<p class="soft">{escape((found["measure_title"] or "no measure").capitalize())}: {escape(SCOPES[found["scope"]])}. '
        f"{time_text(window['since'])} to {time_text(window['until'])}, onset {time_text(window['onset'])}; conversations: {escape(counts)}.</p>"
        '<p class="soft">A ranking of explanations by their marks, not a proof: whatever happened at the same minute looks alike in time.</p>'
        "</div></section>"
    )


def _first(found: Plain) -> str:
    if found["standing"] == "unknown":
        return "no kind of cause has enough evidence"
    first = found["causes"][0]
    named = f" ({first['named']})" if first["named"] else ""
    return f"{first['title'][0].lower()}{first['title'][1:]}{named}{_where(first)}"


def _where(cause: Plain) -> str:
    where = cause["slice"]
    return f", in {where['dimension']} {where['value']}" if where and where["value"] not in cause["named"] else ""


def _best(found: Plain) -> str:
    if found["standing"] == "unknown":
        return ""
    lines = [item for item in found["causes"][0]["lines"] if item["points"] > 0]
    lines.sort(key=lambda item: -item["points"])
    return "<ul>" + "".join(f"<li>{escape(item['text'])}</li>" for item in lines[:3]) + "</ul>"


def _people(found: Plain) -> str:
    rows = "".join(
        f"<section class='card say'><p><b>{escape(said['actor'])}</b> sees another cause: <b>{escape(said['cause'])}</b> "
        f"<span class='soft'>{time_text(said['at'])}</span></p><p>{escape(said['reason'])}</p>"
        f"<p class='soft'><code>{escape(said['id'])}</code></p></section>"
        for said in found["disagreements"]
    )
    how = f'controlplane incident disagree {found["incident"]} --cause KIND --actor YOU --reason "..."'
    empty = "" if rows else "Nobody has disagreed. "
    return (
        f"<h2>What people say</h2>{rows}<p class='soft'>{empty}If you see it otherwise: <code>{escape(how)}</code>. "
        "It goes into the audit log, the incident's timeline and onto this page.</p>"
    )


def _causes(causes: Sequence[Plain]) -> str:
    if not causes:
        return ""
    most = max(max(abs(cause["points"]) for cause in causes), 1.0)
    cards = [_cause(place, cause, most) for place, cause in enumerate(causes, 1)]
    return (
        "<h2>Causes, most evidence first</h2><p class='soft'>Points are added up: 3 would nearly settle it, 1 is a hint, below 0 speaks against. "
        f"What is not known counts 0.</p>{''.join(cards)}"
    )


def _cause(place: int, cause: Plain, most: float) -> str:
    named = f" ({cause['named']})" if cause["named"] else ""
    title = f"{cause['title']}{named}{_where(cause) if cause['points'] > 0 else ''}"
    rows = "".join(_line(item) for item in sorted(cause["lines"], key=lambda item: -abs(item["points"])))
    body = f"<table class='evidence'><tbody>{rows}</tbody></table>{_slice_words(cause) if cause['points'] > 0 else ''}"
    return (
        f"<details class='card cause'{' open' if place <= OPEN else ''}><summary><span class='place'>{place}.</span>"
        f"<span><h3>{escape(title)}</h3><span class='soft'>{escape(_sum_words(cause))}</span></span>"
        f"<span><b>{cause['points']:+.1f} points</b>{_bar(cause['points'], most)}</span></summary>{body}</details>"
    )


def _sum_words(cause: Plain) -> str:
    counts = {says: sum(item["says"] == says for item in cause["lines"]) for says in MARKS}
    said = [f"{n} {MARKS[says]}" for says, n in counts.items() if n]
    return ", ".join(said)


def _bar(points: float, most: float) -> str:
    wide = 50 * min(abs(points) / most, 1)
    side, left = ("f", 50.0) if points >= 0 else ("a", 50 - wide)
    return f"<span class='bar' style='display:block'><b></b><i class='{side}' style='left:{left:.1f}%;width:{wide:.1f}%'></i></span>"


def _line(item: Plain) -> str:
    points = f"{item['points']:+.1f}" if item["points"] else "0"
    would = (
        f"<small>Speaks against it: {escape(item['would'])}</small>" if item["says"] == "for" and item["would"] else ""
    )
    if item["says"] == "unknown" and item["would"]:
        would = f"<small>It would take: {escape(item['would'])}</small>"
    return (
        f"<tr><td><span class='badge {BADGES[item['says']]}'>{MARKS[item['says']]}</span></td><td class='number'>{points}</td>"
        f"<td><b>{escape(item['name'])}</b>: {escape(item['text'])}{would}</td></tr>"
    )


def _slice_words(cause: Plain) -> str:
    where = cause["slice"]
    if not where:
        return "<p class='soft'>No single slice carries it: it is everywhere, or the slices are too small to tell.</p>"
    if cause["kind"] == "traffic":
        said = f"More conversations of {where['dimension']} {where['value']} carry {where['carries']:.0%} of the change"
        return (
            f"<p class='soft'>{escape(said)}: {where['inside_text']} [{where['low_text']}, {where['high_text']}].</p>"
        )
    said = f"{where['title']} in {where['dimension']} {where['value']}: {where['inside_text']} [{where['low_text']}, {where['high_text']}]"
    more = f"elsewhere {where['outside_text']}; it carries {min(where['carries'], 1.0):.0%} of the change with {where['n']:,} conversations"
    return f"<p class='soft'>{escape(said)}, {escape(more)}.</p>"


def _mind(causes: Sequence[Plain]) -> str:
    items = causes[0]["changes_mind"] if causes else []
    if not items:
        return ""
    rows = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<h2>What would change the answer</h2><section class='card'><ul>{rows}</ul></section>"


def _slices(found: Plain) -> str:
    rows = found["slices"]
    if not rows:
        return ""
    reach = max([abs(row[end]) for row in rows for end in ("low", "high")] + [1e-9])
    body = "".join(
        f"<tr><td>{escape(row['dimension'])} <b>{escape(row['value'])}</b></td><td class='number'>{row['n']:,}</td>"
        f"<td class='number'>{row['inside'] * 100:+.1f}</td><td class='range'>{_range(row, reach)}</td>"
        f"<td class='number'>{row['outside'] * 100:+.1f}</td><td class='number'>{_carries(row['carries'])}</td>"
        f"<td class='number'>{row['z']:.1f}</td></tr>"
        for row in rows
    )
    head = "<tr><th>slice</th><th class='number'>conversations after</th><th class='number'>change</th><th>95 % interval</th>"
    head += "<th class='number'>elsewhere</th><th class='number'>carries</th><th class='number'>z</th></tr>"
    unit = "per cent" if found["measure"] == "latency" else "points"
    return (
        f"<h2>Where the change sits</h2><section class='card'><table><caption>{escape(found['measure_title'].capitalize())}: change in {unit} "
        "against the concurrent baseline where only the assistant changed; z: how far inside and elsewhere are apart, in standard errors. "
        f"Of so many slices some reach 2 by chance.</caption>{head}{body}</table></section>"
    )


def _carries(part: float) -> str:
    """A slice that changed the other way carries nothing; more than all of it is what the others take back."""
    return "&ndash;" if part <= 0 else f"{part:.0%}" if part <= 1 else "all"


def _range(row: Plain, reach: float) -> str:
    def x(value: float) -> float:
        return 110 + 104 * value / reach

    return (
        "<svg width='220' height='14' viewBox='0 0 220 14' role='img' aria-label='interval'>"
        "<line x1='110' x2='110' y1='0' y2='14' stroke='var(--soft)'/>"
        f"<line x1='{x(row['low']):.1f}' x2='{x(row['high']):.1f}' y1='7' y2='7' stroke='var(--accent)' stroke-width='3'/>"
        f"<circle cx='{x(row['inside']):.1f}' cy='7' r='4' fill='var(--accent)'/></svg>"
    )


def _changes(changes: Sequence[Plain]) -> str:
    rows = "".join(
        f"<tr class='{'near' if row['fits'] >= 0.7 else ''}'><td>{time_text(row['at'])}</td><td>{_distance(row['minutes'])}</td>"
        f"<td>{escape(row['event'])}</td><td>{escape(row['text'])}</td><td>{escape(', '.join(row['kinds']) or '-')}</td></tr>"
        for row in changes
    )
    if not rows:
        return "<h2>What was changed</h2><section class='card'><p>Nothing was recorded in the day before the window or in it.</p></section>"
    head = "<tr><th>time</th><th>from the onset</th><th>event</th><th>what</th><th>touches</th></tr>"
    return f"<h2>What was changed</h2><section class='card'><table>{head}{rows}</table></section>"


def _distance(minutes: float) -> str:
    return f"{abs(minutes):,.0f} min {'after' if minutes > 0 else 'before'}"


def _numbers(shifts: Plain) -> str:
    sides = (("treated", "assistant"), ("baseline", "baseline"), ("own", "difference"))
    rows = "".join(
        f"<tr><td>{label}</td><td>{escape(found[side]['text'])}</td><td>{escape(found[side]['state'])}</td></tr>"
        for found in shifts.values()
        for side, label in sides
        if side in found and (side != "own" or "baseline" in found)
    )
    table = f"<table><tr><th>arm</th><th>before to after, change, 95 % interval</th><th></th></tr>{rows}</table>"
    return f"<h2>All numbers</h2><section class='card'><details><summary>Every measure in both arms</summary>{table}</details></section>"


def _limits(found: Plain) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in found["notes"])
    return (
        f"<h2>Limits</h2><section class='card'><ul>{notes}<li>Causes that are none of these kinds, or two at once, are not looked for.</li>"
        "<li>Intervals take conversations as independent and are not corrected for the number of slices.</li>"
        f"<li>Made {time_text(found['made_at'])} from eligible conversations that began in the window.</li></ul></section>"
    )
