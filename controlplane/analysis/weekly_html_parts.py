"""Pieces that every section of the weekly review's page is made of: tables with their headers, badges, cards. Everything is escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from controlplane.core.weekly_format import known, percent, range_text, value_text

Plain = Mapping[str, Any]
BADGES = {
    "improved": ("pass", "\u25b2"),
    "better": ("pass", "\u25b2"),
    "not worse": ("pass", "\u25cf"),
    "worse": ("fail", "\u25bc"),
    "unknown": ("no_data", "?"),
    "pass": ("pass", "\u2713"),
    "fail": ("fail", "\u2717"),
}
"""Colour and sign of a verdict: the sign and the word say what the colour says."""


_UNITS = re.compile(r"(\d) (%|ms\b|s\b|min\b|h\b|days\b|tokens\b)")
_CODE = re.compile(r"`([^`]+)`")
WHOLE_ROWS = 9  # a table of at most so many rows stays on one page when printed


def text(value: object) -> str:
    """A value as escaped text; a dash for nothing."""
    return "\u2013" if value is None or value == "" else escape(str(value))


def sentence(value: object) -> str:
    """A sentence as escaped text whose numbers stay together with their units at the end of a line."""
    return _CODE.sub(r"<code>\1</code>", _UNITS.sub("\\1\u00a0\\2", text(value)))


def short(words: str) -> str:
    """The same with points abbreviated, for tables and cards."""
    return escape(words.replace("percentage points", "pts").replace("points", "pts"))


def badge(verdict: object, words: str = "") -> str:
    """A verdict as a coloured word with a sign."""
    name = str(verdict or "unknown").replace("_", " ").lower()
    colour, sign = BADGES.get(name, ("inconclusive", "\u2026"))
    return f'<span class="badge {colour}"><span aria-hidden="true">{sign}</span> {escape(words or name)}</span>'


def section(title: str, body: str, *, name: str, note: str = "") -> str:
    """A titled part of the page; nothing where its body is empty."""
    if not body:
        return ""
    said = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f'<section class="part" id="{name}"><h2>{escape(title)}</h2>{said}{body}</section>'


def empty(words: str) -> str:
    """What is said where there is nothing to show."""
    return f'<div class="card"><p class="soft">{sentence(words)}</p></div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str, numbers: Sequence[int] = ()) -> str:
    """A table in a card: the first cell of a row is its header. Cells are HTML already; `numbers` are the columns set to the right."""
    found = list(rows)
    if not found:
        return ""
    style = [' class="number"' if i in numbers else "" for i in range(len(heads))]
    top = "".join(f'<th scope="col"{style[i]}>{escape(head)}</th>' for i, head in enumerate(heads))
    lines = []
    for row in found:
        first = f'<th scope="row">{row[0]}</th>'
        lines.append(
            f"<tr>{first}{''.join(f'<td{style[i]}>{cell}</td>' for i, cell in enumerate(row[1:], start=1))}</tr>"
        )
    whole = " whole" if len(lines) <= WHOLE_ROWS else ""
    return (
        f'<div class="card{whole}"><table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values below each other; values are HTML already."""
    body = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in pairs)
    return f'<div class="card"><dl>{body}</dl></div>' if body else ""


def estimate(found: Plain | None, unit: str) -> str:
    """A value with its interval and its count below."""
    if found is None or not known(found.get("value")):
        return '<span class="soft">unknown</span>'
    small = []
    if known(found.get("low")) or known(found.get("high")):
        small.append(range_text(found.get("low"), found.get("high"), unit))
    if found.get("n"):
        small.append(f"n {found['n']:,}")
    below = "".join(f"<small>{escape(words)}</small>" for words in small)
    return f"{escape(value_text(found['value'], unit))}{below}"


def maturity(share: float | None) -> str:
    """How many of the labels are final."""
    if share is None:
        return '<span class="soft">none to wait for</span>'
    colour = "" if share >= 0.95 else ' class="young"'
    return f"<span{colour}>{escape(percent(share, 0))} final</span>"


def code(value: object) -> str:
    """A hash, an id or a command."""
    return f"<code>{text(value)}</code>"


def moment(value: object) -> str:
    """An ISO-8601 time to the minute."""
    return text(None) if not value else f'<span class="time">{escape(str(value)[:16].replace("T", " "))}</span>'


def mapping(value: object) -> Plain:
    """The value where it is a mapping, else an empty one: a section that is not there."""
    return value if isinstance(value, Mapping) else {}


def rows_of(value: object) -> list[Plain]:
    """The mappings of a list, else none."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []
