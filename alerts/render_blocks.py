"""Pieces of a Slack message within Slack's limits: cut and escaped texts, sections, lists, links, buttons, an image. Pure.

Slack refuses a whole message when one text is too long or empty, so every text is cut here, in UTF-16 units (Slack counts as
JavaScript does) and after escaping, never inside an escape. `&`, `<` and `>` are escaped, and Slack is told to look for names and
addresses in no plain text (`verbatim`), so no text can ping a channel or disguise a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alerts.model import Link
from alerts.wording import clean, one_line

HEADER_MAX = 150
SECTION_MAX = 3_000
FIELD_MAX = 2_000
FIELDS_MAX = 10
BLOCKS_MAX = 50
BUTTONS_MAX = 25
BUTTON_TEXT_MAX = 75
BUTTON_VALUE_MAX = 2_000
ACTION_ID_MAX = 255
URL_MAX = 3_000
ALT_MAX = 2_000
CONTEXT_MAX = 1_500

LINES_MAX = 20
LINE_MAX = 600
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press; `value` comes back with the press, `url` opens. `style` is "", "primary" or "danger"."""

    action_id: str
    text: str
    value: str = ""
    style: str = ""
    confirm: str = ""
    url: str = ""


def units(text: str) -> int:
    """Length as Slack counts it: UTF-16 code units."""
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def cut(text: str, limit: int, escape: bool = True) -> str:
    """The text, escaped for mrkdwn if asked, in at most `limit` units, with an ellipsis where it was cut; never empty."""
    shown = clean(text).strip()[: limit + 1]  # every character is at least one unit
    pieces = [_ESCAPES.get(c, c) if escape else c for c in shown] or ["–"]
    total = sum(map(units, pieces))
    if total <= limit:
        return "".join(pieces)
    while total > limit - 1:
        total -= units(pieces.pop())
    return "".join(pieces).rstrip() + "…"


def section(text: str) -> Block:
    """A paragraph of mrkdwn that is escaped and short enough already."""
    return {"type": "section", "text": mrkdwn(text)}


def mrkdwn(text: str) -> Block:
    """A text object that is escaped and short enough already; "@here" in it stays a word."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def plain(text: str, limit: int) -> dict[str, Any]:
    """A plain-text object."""
    return {"type": "plain_text", "text": cut(text, limit, escape=False), "emoji": False}


def header(text: str) -> Block:
    """The large first line."""
    return {"type": "header", "text": plain(one_line(text), HEADER_MAX)}


def fields(pairs: Sequence[tuple[str, str]]) -> list[Block]:
    """Names and values side by side, at most ten."""
    texts = [f"*{cut(name, 100)}*\n{cut(value, FIELD_MAX - 200)}" for name, value in pairs[:FIELDS_MAX]]
    return [{"type": "section", "fields": [mrkdwn(text) for text in texts]}] if texts else []


def listed(title: str, lines: Sequence[str]) -> list[Block]:
    """A titled list in one section: as many lines as fit, the rest counted."""
    if not lines:
        return []
    shown = [f"• {cut(line, LINE_MAX)}" for line in lines[:LINES_MAX]]
    head, room = f"*{title}*", SECTION_MAX - 100
    while shown and units("\n".join([head, *shown])) > room:
        shown.pop()
    left = len(lines) - len(shown)
    tail = [f"… and {left} more, on the dashboards"] if left else []
    return [section("\n".join([head, *shown, *tail]))]


def joined(escaped: Sequence[str], limit: int, between: str = "\n") -> str:
    """Pieces that are escaped already, as many as fit. The first always does: it is cut well below any limit."""
    kept: list[str] = []
    for piece in escaped:
        if units(between.join([*kept, piece])) > limit:
            break
        kept.append(piece)
    return between.join(kept)


def links(found: Sequence[Link]) -> list[Block]:
    """Links side by side; one that Slack would not show as a link is left out."""
    shown = [
        f"<{link.url.replace('&', '&amp;')}|{cut(one_line(link.title), 100).replace('|', '/')}>"
        for link in found
        if linkable(link.url)
    ]
    return [section(joined(shown, SECTION_MAX, " · "))] if shown else []


def linkable(url: str) -> bool:
    """Whether Slack would show it as a link: http(s), not too long, nothing in it that ends a link early."""
    return (
        url.startswith(("https://", "http://"))
        and len(url) <= URL_MAX // 6
        and url.isprintable()
        and not set(url) & set('<>|" ')
    )


def image(file_id: str, title: str) -> Block:
    """A picture that was uploaded to Slack before."""
    return {
        "type": "image",
        "slack_file": {"id": file_id},
        "alt_text": cut(one_line(title), ALT_MAX, escape=False),
        "title": plain(one_line(title), 200),
    }


def actions(buttons: Sequence[Button]) -> list[Block]:
    """The row of buttons, at most 25. Raises ValueError for a value that Slack would not take: it would refuse the message."""
    if not buttons:
        return []
    return [{"type": "actions", "elements": [_button(button) for button in buttons[:BUTTONS_MAX]]}]


def _button(button: Button) -> Block:
    element: Block = {
        "type": "button",
        "action_id": button.action_id[:ACTION_ID_MAX],
        "text": plain(one_line(button.text), BUTTON_TEXT_MAX),
    }
    if units(button.value) > BUTTON_VALUE_MAX:
        raise ValueError(
            f"the value of button '{button.action_id}' has {units(button.value)} units, Slack takes {BUTTON_VALUE_MAX}: "
            "put an id there, not the thing itself"
        )
    element |= {name: value for name, value in (("value", button.value), ("style", button.style)) if value}
    if button.url and linkable(button.url):
        element["url"] = button.url
    if button.confirm:
        texts = {"title": plain(one_line(button.text), 100), "text": plain(button.confirm, 300)}
        element["confirm"] = {**texts, "confirm": plain("Yes", 30), "deny": plain("No", 30)}
    return element
