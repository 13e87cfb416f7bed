"""The weekly review as one HTML file for leadership: no script, no request to anywhere, light and dark, and set for A4.

The answer comes first: the five success measures, whether the rollout may grow, what changed. Then the figures with both arms, their difference
and last week, the sections, the signatures, and at the end where each number comes from and how to check all of it. Everything shown is a number
of the pinned document; the sentences are `controlplane.core.weekly_words`. Signatures are records of their own and change no document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.analysis import weekly_html_events as events
from controlplane.analysis import weekly_html_origin as origin
from controlplane.analysis import weekly_html_week as week
from controlplane.analysis.weekly_html_parts import (
    Plain,
    badge,
    empty,
    mapping,
    moment,
    rows_of,
    section,
    sentence,
    short,
    table,
    text,
)
from controlplane.analysis.weekly_svg import TONES, interval_bar
from controlplane.core.weekly_diff import difference_line
from controlplane.core.weekly_format import (
    day,
    gap_text,
    interval_text,
    known,
    percent,
    range_text,
    signed_text,
    value_text,
)
from controlplane.core.weekly_format import moment as clock
from controlplane.core.weekly_success import difference_unit, maturity_of
from controlplane.core.weekly_words import partial, words

KINDS = {
    "figure": "figure",
    "drift": "drift",
    "beside drift": "beside drift",
    "topic": "topic",
    "broken column": "broken column",
    "incident": "incident",
    "cost": "cost",
}
CHANGED = 12
LONG = 20  # letters of a unit that is too long to stand behind every number
GROW_TONE = {"yes": "pass", "no": "fail", "not yet": "inconclusive", "nothing to grow": "no_data"}


def render(
    document: Plain,
    signatures: Sequence[Plain] = (),
    document_hash: str = "",
    *,
    changed: Sequence[Plain] = (),
    corrected_by: str = "",
) -> str:
    """The page. `document` is `Weekly.to_dict()`; its words are made from it where it has none. `signatures`: rows of at, actor, verdict, note,
    document_hash. `document_hash` is printed with the pin, where the caller knows it. `changed`: differences to the version that it corrects
    (`weekly_diff.differences`); `corrected_by`: the version that corrects this one."""
    said = mapping(document.get("words")) or words(document)
    parts = [
        _top(document, said),
        _versions(document, changed, corrected_by),
        _measures(document, said),
        _grow(document, said),
        _changes(said),
        week.figures(document),
        week.csat(document),
        week.funnels(document),
        week.topics(document),
        events.incidents(document),
        events.drills(document),
        events.drift(document),
        events.money(document),
        events.people(document),
        origin.limits(said),
        origin.signatures(document, signatures, document_hash),
        origin.sources(document),
        origin.pin(document, document_hash),
    ]
    title = f"Weekly review {document.get('week')}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_style()}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _style() -> str:
    names = (("controlplane", "report_style.css"), ("controlplane.analysis", "weekly_html.css"))
    return "".join(files(package).joinpath(name).read_text(encoding="utf-8") for package, name in names)


def _top(document: Plain, said: Plain) -> str:
    rollout = mapping(document.get("rollout"))
    about = f"Release {text(rollout['release'])}" if rollout.get("release") else "No release was rolled out"
    if rollout.get("phase"):
        share = f" at {percent(rollout['share'], 0)}" if known(rollout.get("share")) else ""
        about += f", {text(rollout['phase'])}{share}, {text(str(rollout.get('state') or '').lower().replace('_', ' '))}"
    span = f"{day(document.get('since'))} to {day(document.get('until'))}, midnight UTC"
    if partial(document):
        span = f"{day(document.get('since'))} to {clock(document.get('until'))}: the week has not ended"
    pinned = moment(mapping(document.get("pin")).get("pinned_at"))
    return (
        f'<header class="top"><div><p class="soft">Weekly review {text(document.get("week"))} &middot; {escape(span)}<br>{about}</p>'
        f"<h1>{sentence(said.get('headline'))}</h1></div>"
        f'<p class="id soft">{text(document.get("review_id"))}<br>pinned {pinned} UTC</p></header>'
    )


def _versions(document: Plain, changed: Sequence[Plain], corrected_by: str) -> str:
    """Said at the top where this is not the only version of the week."""
    found = ""
    if corrected_by:
        found += f'<div class="card banner"><b>Corrected by {text(corrected_by)}</b>: read that version; this one is kept as it was pinned.</div>'
    if document.get("corrects"):
        lines = "".join(f"<li>{text(difference_line(item))}</li>" for item in changed[:CHANGED])
        more = f"<li>and {len(changed) - CHANGED} more</li>" if len(changed) > CHANGED else ""
        found += (
            f'<div class="card banner"><b>Version {text(document.get("version"))} corrects {text(document["corrects"])}</b>: '
            f"{text(document.get('correction_reason'))}{f'<ul>{lines}{more}</ul>' if lines else ''}</div>"
        )
    return found


def _measures(document: Plain, said: Plain) -> str:
    lines = {line.get("measure"): line for line in rows_of(said.get("success"))}
    cards = [_card(item, lines.get(item.get("measure")) or {}) for item in rows_of(document.get("success"))]
    body = f'<div class="cards">{"".join(cards)}</div>' if cards else empty("No success measure was looked at.")
    sentences = "".join(f"<li>{sentence(line.get('sentence'))}</li>" for line in rows_of(said.get("success")))
    note = (
        "Assistant minus menu, on the same customers at the same time. The tinted side of each bar is the better one, the dashed line the margin "
        "that still counts as not worse. pts: rating points, or percentage points of a share."
    )
    return section("The five success measures", f"{body}<ul>{sentences}</ul>", name="success", note=note)


def _card(item: Plain, line: Plain) -> str:
    movement = str(line.get("movement") or item.get("movement"))
    tone, unit, difference = TONES.get(movement, "none"), str(item["unit"]), mapping(item.get("difference"))
    arms = [mapping(item.get(arm)) for arm in ("assistant", "menu")]
    gap = difference_unit(item)
    long = "" if len(unit) < LONG else unit  # said once, below the title
    unit, gap = ("", "") if long else (unit, gap)
    shown, below = _number(difference, arms[0], unit, gap)
    both = "<br>".join(
        f"{name} <b>{short(value_text(arm.get('value'), unit))}</b>"
        + (f" <small>n {int(arm['n']):,}</small>" if arm.get("n") else "")
        for name, arm in zip(("assistant", "menu"), arms, strict=True)
    )
    margin = item.get("margin")
    mature = maturity_of(*arms)
    small = [text(long)] if long else []
    small += [both, "no labels to wait for" if mature is None else f"{percent(mature, 0)} of the labels are final"]
    small += [f"margin {short(gap_text(margin, gap))}"] if margin else []
    return (
        f'<div class="card {tone}"><h3>{text(item.get("title"))}</h3>{badge(movement)}'
        f'<p class="value">{short(shown)}<small>{short(below)}</small></p>'
        f"{interval_bar(difference, gap, str(item.get('direction')), tone, margin=margin)}{''.join(f'<p>{line}</p>' for line in small)}"
        f'<p class="soft">{text(item.get("reason"))}</p></div>'
    )


def _number(difference: Plain, assistant: Plain, unit: str, gap: str) -> tuple[str, str]:
    """The number of a card with its interval: the difference, or the assistant's own value where the menu cannot be compared with."""
    value, low, high = (difference.get(key) for key in ("value", "low", "high"))
    if known(value):
        return signed_text(value, gap), interval_text(low, high, gap) if known(low) or known(high) else "no interval"
    if not known(assistant.get("value")):
        return "unknown", "no interval"
    return value_text(
        assistant["value"], unit
    ), f"the assistant alone, {range_text(assistant.get('low'), assistant.get('high'), unit)}"


def _grow(document: Plain, said: Plain) -> str:
    found = mapping(document.get("may_grow"))
    tone = GROW_TONE.get(str(found.get("answer") or "").lower(), "no_data")
    rows = [
        (text(line.get("name")), text(line.get("have")), text(line.get("need")), badge(line.get("verdict")))
        for line in rows_of(found.get("lines"))
    ]
    lines = table(("condition", "has", "needs", "verdict"), rows, "What the gate asks before the next step.")
    answer = f'<div class="card answer {tone}"><div><p><b>{sentence(said.get("answer"))}</b></p></div></div>'
    return section("May we grow?", answer + lines, name="grow")


def _changes(said: Mapping[str, Any]) -> str:
    items = [
        f'<li><span class="kind">{text(KINDS.get(str(item.get("kind")), str(item.get("kind"))))}'
        f"{'<br>' + badge(item['verdict']) if item.get('verdict') else ''}</span><span>{sentence(item.get('sentence'))}</span></li>"
        for item in rows_of(said.get("changes"))
    ]
    if not items:
        nothing = "Nothing moved beyond what chance explains: no interval of a change leaves out 0, no drift, no new topic, no incident."
        return section("What changed", empty(nothing), name="changes")
    more = f"<p class='soft'>{said['left_out']} more in the sections below.</p>" if said.get("left_out") else ""
    body = f'<div class="card"><ol class="changes">{"".join(items)}</ol>{more}</div>'
    return section("What changed", body, name="changes", note=str(said.get("rule") or ""))
