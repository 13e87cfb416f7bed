"""Sections of the weekly review about the week's customers: the figures of both arms, CSAT told honestly, the funnels, the topics."""

from __future__ import annotations

from html import escape
from typing import Any

from controlplane.analysis.weekly_html_parts import (
    Plain,
    badge,
    empty,
    estimate,
    mapping,
    maturity,
    rows_of,
    section,
    short,
    table,
    text,
)
from controlplane.analysis.weekly_svg import TONES, funnel, interval_bar, ratings
from controlplane.core.weekly_changes import better_or_worse, evident
from controlplane.core.weekly_format import count_text, interval_text, known, percent, signed_text, value_text
from controlplane.core.weekly_success import maturity_of

HEADS = ("figure", "assistant", "menu", "difference", "against last week", "labels")
WEEK_COLUMN = 4


def figures(document: Plain) -> str:
    """The table of figures: both arms, their difference, last week, maturity."""
    found = rows_of(document.get("figures"))
    weeks = any(known(mapping(item.get("last_week")).get("value")) for item in found)
    rows = []
    for item in found:
        unit, now = str(item["unit"]), mapping(item.get("assistant"))
        menu = item.get("baseline")
        cells = [
            f"{text(item.get('title'))}<small>{escape(unit)}</small>",
            estimate(now, unit),
            estimate(menu, unit) if menu is not None else '<span class="soft">not comparable</span>',
            _difference(item, unit),
            _change(item, unit) if weeks else "",
            maturity(maturity_of(now, menu)),
        ]
        rows.append([cell for i, cell in enumerate(cells) if weeks or i != WEEK_COLUMN])
    heads = [head for i, head in enumerate(HEADS) if weeks or i != WEEK_COLUMN]
    caption = (
        "Intervals below each value. The arms' values are of all their conversations; the difference is taken within stages of the rollout, between "
        "customers who met assistant and menu at the same time, so it is not the difference of the two values."
    )
    caption += "" if weeks else " There is no week before to compare with."
    return section("The figures", table(heads, rows, caption, numbers=(1, 2, 4) if weeks else (1, 2)), name="figures")


def _difference(item: Plain, unit: str) -> str:
    found = item.get("difference")
    if found is None or not known(found.get("value")):
        return (
            '<span class="soft">\u2013</span>' if item.get("baseline") is None else '<span class="soft">unknown</span>'
        )
    verdict = better_or_worse(float(found["value"]), str(item.get("direction"))) if evident(found) else ""
    tone = TONES.get(verdict, "none")
    ends = f"<small>{short(interval_text(found.get('low'), found.get('high'), unit))}</small>"
    return f"{short(signed_text(found['value'], unit))}{ends}{interval_bar(found, unit, str(item.get('direction')), tone, width=160)}"


def _change(item: Plain, unit: str) -> str:
    found, before = item.get("change"), mapping(item.get("last_week"))
    if not known(before.get("value")):
        return '<span class="soft">no week before</span>'
    was = f"<small>{escape(value_text(before['value'], unit))} last week</small>"
    if found is None or not known(found.get("value")):
        return f'<span class="soft">unknown</span>{was}'
    ends = interval_text(found.get("low"), found.get("high"), unit)
    small = f"<small>{short(ends)}</small>" if ends != "unknown" else "<small>no interval</small>"
    verdict = better_or_worse(float(found["value"]), str(item.get("direction"))) if evident(found) else ""
    mark = badge(verdict) if verdict else ""
    return f"{short(signed_text(found['value'], unit))}{small}{was}{mark}"


def csat(document: Plain) -> str:
    """Who answers, what they say, and how far the silent could change it."""
    found = mapping(document.get("csat"))
    if not found:
        return section(
            "Customer satisfaction, honestly", empty("Nobody was asked, or nobody answered, this week."), name="csat"
        )
    rows = [
        _arm(arm, mapping(found.get(key)))
        for key, arm in (("treated", "assistant"), ("control", "menu"))
        if found.get(key)
    ]
    heads = ("arm", "mature conversations", "response rate", "mean rating", "4 or 5", "ratings from 1 to 5")
    said = table(
        heads,
        rows,
        "All conversations old enough that a rating would be there, over all stages; the success measure above compares within stages.",
        numbers=(1, 2, 3, 4),
    )
    lines = [f"<li>{line}</li>" for line in _csat_lines(found)]
    return section("Customer satisfaction, honestly", f"{said}<ul>{''.join(lines)}</ul>", name="csat")


def _arm(name: str, arm: Plain) -> tuple[str, ...]:
    share = {**mapping(arm.get("response_rate")), "n": 0}
    mean = {**mapping(arm.get("mean")), "n": arm.get("rated")}
    top = {**mapping(arm.get("top_two")), "n": 0}
    young = f"<small>of {count_text(arm.get('conversations'))}</small>"
    return (
        escape(name),
        f"{count_text(arm.get('mature'))}{young}",
        estimate(share, "share"),
        estimate(mean, "points"),
        estimate(top, "share"),
        ratings([int(n) for n in arm.get("distribution") or ()], width=250),
    )


def _csat_lines(found: Plain) -> list[str]:
    gaps = mapping(found.get("difference"))
    lines = []
    for key, words, unit in (
        ("response_rate", "response rates", "share"),
        ("mean", "mean ratings", "points"),
        ("top_two", "shares of 4 and 5", "share"),
    ):
        gap = mapping(gaps.get(key))
        if known(gap.get("value")):
            ends = interval_text(gap.get("low"), gap.get("high"), unit)
            said = f"interval {escape(ends)}" if ends != "unknown" else "no interval"
            lines.append(f"The {words} differ by <b>{escape(signed_text(gap['value'], unit))}</b> ({said}).")
    within = mapping(found.get("within_stages"))
    if known(within.get("value")):
        ends = escape(interval_text(within.get("low"), within.get("high"), "points"))
        said = f"<b>{escape(signed_text(within['value'], 'points'))}</b> (interval {ends})"
        lines.append(
            f"Within the stages of the rollout the mean ratings differ by {said}: while shares change, believe this one."
        )
    silent = mapping(mapping(found.get("silent")).get("bounds"))
    low, high = silent.get("low"), silent.get("high")
    if known(low) and known(high):
        ends = escape(interval_text(low, high, "points"))
        lines.append(
            f"Had every silent customer answered as badly or as well as possible, the difference would lie within {ends}."
        )
    if found.get("verdict"):
        lines.append(f"What the ratings say <b>{text(found['verdict'])}</b>: {text(found.get('reason'))}.")
    return lines + [text(note) + "." for note in found.get("notes") or ()]


def funnels(document: Plain) -> str:
    """From question to resolution, for each arm."""
    found = mapping(document.get("funnel"))
    parts = []
    for key, name in (("assistant", "Assistant"), ("baseline", "Menu"), ("menu", "Menu")):
        steps = rows_of(found.get(key))
        if steps:
            parts.append(f'<div class="card"><h3>{name}</h3>{funnel(steps)}</div>')
    note = f"Each step with its share of {found.get('share_of') or 'the step before'}; outcomes as known at the pin."
    return section(
        "From question to resolution",
        f'<div class="pair">{"".join(parts)}</div>' if parts else "",
        name="funnel",
        note=note,
    )


def topics(document: Plain) -> str:
    """Topics of the questions left open, and the intents of the week."""
    found = mapping(document.get("topics"))
    rows = [_topic(row) for row in rows_of(found.get("topics"))]
    heads = ("topic", "questions", "share", "before", "")
    said = table(heads, rows, _asked(found), numbers=(1, 2, 3))
    if not said:
        why = str(found.get("reason") or "").strip()
        said = empty(f"No topic analysis covers this week{': ' + why if why else ''}; `controlplane topics` makes one.")
    intents = table(
        ("intent", "conversations", "share", "last week", "change"),
        [_intent(row) for row in rows_of(found.get("intents"))],
        "What customers asked for this week, as the classifier read it.",
        numbers=(1, 2, 3, 4),
    )
    return section(
        "What customers ask and we cannot settle",
        said + (f"<h3>Intents</h3>{intents}" if intents else ""),
        name="topics",
    )


def _asked(found: Plain) -> str:
    asked = (
        f"{count_text(found['questions'])} questions left open"
        if known(found.get("questions"))
        else "Questions left open"
    )
    span = f", {str(found.get('since'))[:10]} to {str(found.get('until'))[:10]}" if found.get("since") else ""
    return f"{asked}{span}."


def _topic(row: Plain) -> tuple[str, ...]:
    change = str(row.get("change") or ("new" if row.get("new") else ""))
    before = percent(row.get("before_share")) if known(row.get("before_share")) else "\u2013"
    return (
        text(row.get("label")),
        count_text(row.get("n")),
        percent(row.get("share")),
        before,
        badge("new", "new") if change == "new" else text(change if change in ("grown", "shrunk") else ""),
    )


def _intent(row: Plain) -> tuple[str, ...]:
    change: Any = row.get("change")
    moved = change.get("value") if isinstance(change, dict) else change
    last = row.get("last_share", mapping(row.get("last_week")).get("value"))
    return (
        text(row.get("name") or row.get("intent")),
        count_text(row.get("n")),
        percent(row.get("share")),
        percent(last) if known(last) else "\u2013",
        escape(signed_text(moved, "share", named=False)) if known(moved) else "\u2013",
    )
