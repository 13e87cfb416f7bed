"""An alert as a Slack Block Kit payload within Slack's limits, and as console text. Pure.

Slack refuses a whole message when one text is too long or empty, so every text is cut here, in UTF-16 units (Slack counts as
JavaScript does) and after escaping, never inside an escape. What people must see first comes first: Slack folds long
attachments. `&`, `<` and `>` are escaped, so no text can ping a channel or disguise a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alerts.model import Alert, Severity, Status
from alerts.wording import clean, containment, facts, headline, one_line, reading_lines, sections, timeline

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
CONTEXT_MAX = 1_500
TEXT_MAX = 3_000  # Slack takes 40,000 and advises 4,000; the fallback is for notifications and for looking a message up

LINES_MAX = 20
_LINE_MAX = 600
_COLOURS = {
    Severity.CRITICAL: "#B3261E",
    Severity.ERROR: "#E8710A",
    Severity.WARNING: "#F2B705",
    Severity.INFO: "#1A73E8",
}
_RESOLVED_COLOUR = "#188038"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press; `value` comes back with the press. `style` is "", "primary" or "danger"."""

    action_id: str
    text: str
    value: str = ""
    style: str = ""
    confirm: str = ""


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


def slack_message(
    alert: Alert, *, also: Sequence[str] = (), note: str = "", reference: str = "", buttons: Sequence[Button] = ()
) -> dict[str, Any]:
    """The parent message: `text` (fallback, ends with `reference`), `blocks` (header) and one coloured attachment.

    `also` names other alerts told in the same message, `note` is a word about the delivery itself.
    """
    text = fallback(alert, reference)
    colour = _RESOLVED_COLOUR if alert.status is Status.RESOLVED else _COLOURS[alert.severity]
    header = {"type": "header", "text": _plain(one_line(headline(alert)), HEADER_MAX)}
    body = _body(alert, also, note, buttons)[: BLOCKS_MAX - 1]
    return {
        "text": text,
        "blocks": [header],
        "attachments": [{"color": colour, "fallback": text, "blocks": body}],
    }


def slack_reply(alert: Alert, *, note: str = "", reference: str = "") -> dict[str, Any]:
    """One step of the incident's thread: plain mrkdwn text."""
    lines = [f"*{cut(headline(alert), 300)}*", *_opening(alert, note)]
    lines += [f"• {cut(line, _LINE_MAX)}" for line in reading_lines(alert.readings)[:3]]
    lines += [f"✓ {cut(line, _LINE_MAX)}" for line in alert.done[-3:]]
    tail = f"\n{reference}" if reference else ""
    return {"text": _joined(lines, SECTION_MAX - units(tail)) + tail}


def fallback(alert: Alert, reference: str = "") -> str:
    """The message in one escaped line for notifications; `reference` stays whole at its end."""
    tail = f" {reference}" if reference else ""
    words = " — ".join(
        filter(None, [headline(alert), containment(alert), one_line(alert.annotations.get("summary", ""))])
    )
    return cut(words, TEXT_MAX - units(tail)) + tail


def _body(alert: Alert, also: Sequence[str], note: str, buttons: Sequence[Button]) -> list[Block]:
    opening = _opening(alert, note)
    blocks = [_section("\n".join(opening))] if opening else []
    fields = [f"*{cut(name, 100)}*\n{cut(value, FIELD_MAX - 200)}" for name, value in facts(alert)[:FIELDS_MAX]]
    if fields:
        blocks.append({"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in fields]})
    for title, lines in sections(alert):
        blocks += _list(title, lines)
    blocks += _list("Evidence", reading_lines(alert.readings))
    when = timeline(alert)
    blocks += [_section(f"*Times* {cut(when, SECTION_MAX - 100)}")] if when else []
    blocks += _list("Done", alert.done)
    blocks += _list("Also", also)
    blocks += _links(alert)
    if buttons:
        blocks.append({"type": "actions", "elements": [_button(button) for button in buttons[:BUTTONS_MAX]]})
    small = [alert.promise] if alert.promise else []
    small.append(f"alert {alert.alert_id}" + (f" of incident {alert.incident_id}" if alert.incident_id else ""))
    elements = [{"type": "mrkdwn", "text": cut(text, CONTEXT_MAX)} for text in small]
    return [*blocks, {"type": "context", "elements": elements}]


def _opening(alert: Alert, note: str) -> list[str]:
    """A word on the delivery, what was done, and the summary, escaped; together always below a section's limit."""
    bold = [f"*{cut(text, 300)}*" for text in (note, containment(alert)) if text]
    summary = alert.annotations.get("summary", "")
    return [*bold, cut(summary, 1_500)] if summary else bold


def _links(alert: Alert) -> list[Block]:
    usable = [link for link in alert.links if _linkable(link.url)]
    links = [f"<{link.url.replace('&', '&amp;')}|{cut(link.title, 100).replace('|', '/')}>" for link in usable]
    return [_section(_joined(links, SECTION_MAX, " · "))] if links else []


def _linkable(url: str) -> bool:
    """Whether Slack would show it as a link: http(s), not too long, nothing in it that ends a link early."""
    return (
        url.startswith(("https://", "http://"))
        and len(url) <= URL_MAX // 6
        and url.isprintable()
        and not set(url) & set('<>|" ')
    )


def _list(title: str, lines: Sequence[str]) -> list[Block]:
    """A titled list in one section: as many lines as fit, the rest counted."""
    if not lines:
        return []
    shown = [f"• {cut(line, _LINE_MAX)}" for line in lines[:LINES_MAX]]
    head, room = f"*{title}*", SECTION_MAX - 100
    while shown and units("\n".join([head, *shown])) > room:
        shown.pop()
    left = len(lines) - len(shown)
    tail = [f"… and {left} more, on the dashboards"] if left else []
    return [_section("\n".join([head, *shown, *tail]))]


def _joined(escaped: Sequence[str], limit: int, between: str = "\n") -> str:
    """Pieces that are escaped already, as many as fit. The first always does: it is cut well below any limit."""
    kept: list[str] = []
    for piece in escaped:
        if units(between.join([*kept, piece])) > limit:
            break
        kept.append(piece)
    return between.join(kept)


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(text, limit, escape=False), "emoji": False}


def _button(button: Button) -> Block:
    element: Block = {
        "type": "button",
        "action_id": button.action_id[:ACTION_ID_MAX],
        "text": _plain(one_line(button.text), BUTTON_TEXT_MAX),
    }
    if units(button.value) > BUTTON_VALUE_MAX:
        raise ValueError(
            f"the value of button '{button.action_id}' has {units(button.value)} units, Slack takes {BUTTON_VALUE_MAX}: "
            "put an id there, not the thing itself"
        )
    if button.value:
        element["value"] = button.value
    if button.style:
        element["style"] = button.style
    if button.confirm:
        texts = {"title": _plain(one_line(button.text), 100), "text": _plain(button.confirm, 300)}
        element["confirm"] = {**texts, "confirm": _plain("Yes", 30), "deny": _plain("No", 30)}
    return element


def console_text(alert: Alert, *, also: Sequence[str] = (), note: str = "") -> str:
    """The same message for a terminal or a log: plain text, no control characters, ends without a line break."""
    lines = [headline(alert)]
    lines += [
        f"  {one_line(text)}" for text in (note, containment(alert), alert.annotations.get("summary", "")) if text
    ]
    found = [f"{name}: {one_line(value)}" for name, value in facts(alert)]
    lines += [f"  {' | '.join(found)}"] if found else []
    listed = [*sections(alert), ("Evidence", reading_lines(alert.readings)), ("Done", alert.done), ("Also", also)]
    for title, items in listed:
        lines += _console_list(title, items)
    when = timeline(alert)
    lines += [f"  Times: {when}"] if when else []
    lines += [f"  {one_line(alert.promise)}"] if alert.promise else []
    lines += [f"  {one_line(link.title)}: {one_line(link.url)}" for link in alert.links]
    return "\n".join([*lines, f"  alert {one_line(alert.alert_id)}"])


def _console_list(title: str, items: Sequence[str]) -> list[str]:
    shown = [f"    - {one_line(item)}" for item in items[:LINES_MAX]]
    left = len(items) - len(shown)
    return [f"  {title}:", *shown, *([f"    ... and {left} more"] if left else [])] if shown else []
