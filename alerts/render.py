"""An alert as a Slack Block Kit payload within Slack's limits, and as console text. Pure.

What people must see first comes first: Slack folds long attachments. The pieces, their limits and their escapes are in
`alerts.render_blocks`; which buttons make sense in `alerts.render_buttons`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alerts.buttons import Press
from alerts.model import Alert, Link, Severity, Status
from alerts.render_blocks import (
    BLOCKS_MAX,
    BUTTONS_MAX,
    CONTEXT_MAX,
    FIELD_MAX,
    FIELDS_MAX,
    HEADER_MAX,
    LINE_MAX,
    LINES_MAX,
    SECTION_MAX,
    Block,
    Button,
    actions,
    cut,
    fields,
    header,
    image,
    joined,
    linkable,
    links,
    listed,
    mrkdwn,
    section,
    units,
)
from alerts.wording import containment, facts, headline, one_line, reading_lines, sections, timeline
from alerts.wording_incident import by_command, is_over, mentions, standing_facts
from alerts.wording_runbook import first_step, runbook

__all__ = [
    "BLOCKS_MAX",
    "BUTTONS_MAX",
    "FIELDS_MAX",
    "FIELD_MAX",
    "HEADER_MAX",
    "SECTION_MAX",
    "TEXT_MAX",
    "Button",
    "console_text",
    "cut",
    "fallback",
    "slack_message",
    "slack_reply",
    "units",
]

TEXT_MAX = 3_000  # Slack takes 40,000 and advises 4,000; the fallback is for notifications and for looking a message up
_COLOURS = {
    Severity.CRITICAL: "#B3261E",
    Severity.ERROR: "#E8710A",
    Severity.WARNING: "#F2B705",
    Severity.INFO: "#1A73E8",
}
_RESOLVED_COLOUR = "#188038"


def slack_message(
    alert: Alert,
    *,
    also: Sequence[str] = (),
    note: str = "",
    reference: str = "",
    buttons: Sequence[Button] = (),
    picture: str = "",
    steps: Sequence[str] = (),
) -> dict[str, Any]:
    """The parent message: `text` (fallback, ends with `reference`), `blocks` (header) and one coloured attachment.

    `also` names other alerts told in the same message, `note` is a word about the delivery itself, `picture` the id of an
    uploaded chart. `steps`: what happened before anybody could be told; a message that is told first has no thread for them.
    """
    text = fallback(alert, reference)
    colour = _RESOLVED_COLOUR if alert.status is Status.RESOLVED else _COLOURS[alert.severity]
    body = _body(alert, also, note, buttons, picture, steps)[: BLOCKS_MAX - 1]
    return {
        "text": text,
        "blocks": [header(headline(alert))],
        "attachments": [{"color": colour, "fallback": text, "blocks": body}],
    }


def slack_reply(
    alert: Alert, *, note: str = "", reference: str = "", steps: Sequence[str] | None = None
) -> dict[str, Any]:
    """One entry of the incident's thread. Steps say themselves what happened; else the alert's headline does. People see the block; `reference`
    stands at the end of the fallback alone.

    `steps`: all that happened since the last entry, oldest first (None: the alert's own step). People are called by name here alone: a
    message that is only updated rings nowhere.
    """
    told = [step for step in (steps if steps is not None else (alert.step,)) if step.strip()]
    tail = f"\n{reference}" if reference else ""
    called = [" ".join(f"<@{user}>" for user in mentions(alert))] if mentions(alert) else []
    lines = [*called, *([f"*{cut(note, 300)}*"] if note else [])]
    if alert.step and told:
        lines += _steps(alert, told, SECTION_MAX - units("\n".join([*lines, tail])) - 1)
    else:
        lines += [f"*{cut(headline(alert), 300)}*", *_opening(alert, "")]
        lines += _steps(alert, told, 900) if told else []
        lines += [f"• {cut(line, LINE_MAX)}" for line in reading_lines(alert.readings)[:3]]
        lines += [f"✓ {cut(line, LINE_MAX)}" for line in alert.done[-3:]]
    body = joined(lines, SECTION_MAX - units(tail))
    return {"text": body + tail, "blocks": [section(body)]}


def _steps(alert: Alert, steps: Sequence[str], room: int) -> list[str]:
    """One line a step, bold where it is the only one; of very many the newest, and where the others are."""
    if len(steps) == 1:
        return [f"*{cut(one_line(steps[0]), LINE_MAX)}*"]
    elsewhere = f"• … earlier ones: controlplane incident show {cut(alert.incident_id or '', 200)}"
    each = max(140, min(LINE_MAX, room // len(steps)))
    lines = [f"• {cut(one_line(step), each - 3)}" for step in steps]
    if units("\n".join(lines)) <= room:
        return lines
    while len(lines) > 1 and units("\n".join([elsewhere, *lines])) > room:
        del lines[0]
    return [elsewhere, *lines]


def fallback(alert: Alert, reference: str = "") -> str:
    """The message in one escaped line for notifications; `reference` stays whole at its end."""
    tail = f" {reference}" if reference else ""
    words = " — ".join(
        filter(None, [headline(alert), containment(alert), one_line(alert.annotations.get("summary", ""))])
    )
    return cut(words, TEXT_MAX - units(tail)) + tail


def chart_title(alert: Alert) -> str:
    """What the uploaded chart shows, in one line."""
    return f"Evidence against its threshold: {one_line(alert.title)}"


def _body(
    alert: Alert, also: Sequence[str], note: str, buttons: Sequence[Button], picture: str, steps: Sequence[str]
) -> list[Block]:
    opening = _opening(alert, note)
    blocks = [section("\n".join(opening))] if opening else []
    if (first := first_step(alert)) and not is_over(alert):
        blocks.append(section(f"*Do first* {cut(first, LINE_MAX)}"))
    blocks += fields(facts(alert))
    for title, lines in sections(alert):
        blocks += listed(title, lines)
    blocks += listed("Evidence", reading_lines(alert.readings))
    blocks += [image(picture, chart_title(alert))] if picture else []
    when = timeline(alert)
    blocks += [section(f"*Times* {cut(when, SECTION_MAX - 100)}")] if when else []
    blocks += listed("Done", alert.done)
    blocks += listed("Steps so far", steps)
    blocks += listed("Also", also)
    pressed = {button.url for button in buttons}
    blocks += links([link for link in _read_on(alert) if link.url not in pressed])
    blocks += actions(buttons)
    asked = any(button.action_id == Press.ACKNOWLEDGE for button in buttons)
    return [*blocks, _small(alert, "" if asked else by_command(alert))]


def _read_on(alert: Alert) -> list[Link]:
    place = runbook(alert)
    return [*alert.links, *([Link("Runbook", place)] if linkable(place) else [])]


def _small(alert: Alert, command: str) -> Block:
    place = runbook(alert)
    small = [alert.promise] if alert.promise else []
    small += [f"Acknowledge: {command}"] if command else []
    small += [f"Runbook: {place}"] if place and not linkable(place) else []
    small.append(f"alert {alert.alert_id}" + (f" of incident {alert.incident_id}" if alert.incident_id else ""))
    elements = [mrkdwn(cut(text, CONTEXT_MAX)) for text in small]
    return {"type": "context", "elements": elements}


def _opening(alert: Alert, note: str) -> list[str]:
    """A word on the delivery, what was done, and the summary, escaped; together always below a section's limit."""
    bold = [f"*{cut(text, 300)}*" for text in (note, containment(alert)) if text]
    summary = alert.annotations.get("summary", "")
    return [*bold, cut(summary, 1_500)] if summary else bold


def console_text(
    alert: Alert,
    *,
    also: Sequence[str] = (),
    note: str = "",
    steps: Sequence[str] | None = None,
    brief: bool = False,
) -> str:
    """The same message for a terminal or a log: plain text, no control characters, ends without a line break.

    `brief`: a step of an incident that was printed whole before; what happened, and where it stands now.
    """
    told = [step for step in (steps if steps is not None else (alert.step,)) if step.strip()]
    lines = [headline(alert), *(f"  {one_line(text)}" for text in (*told, note, containment(alert)) if text)]
    if not (brief and told):
        return "\n".join([*lines, *_console_rest(alert, also)])
    stands = [f"{name}: {one_line(value)}" for name, value in standing_facts(alert)]
    last = " | ".join([*stands, f"alert {one_line(alert.alert_id)}"])
    return "\n".join([*lines, *_console_list("Also", also), f"  {last}"])


def _console_rest(alert: Alert, also: Sequence[str]) -> list[str]:
    summary = alert.annotations.get("summary", "")
    lines = [f"  {one_line(summary)}"] if summary else []
    first = "" if is_over(alert) or alert.step else first_step(alert)
    lines += [f"  Do first: {first}"] if first else []
    found = [f"{name}: {one_line(value)}" for name, value in facts(alert)]
    lines += [f"  {' | '.join(found)}"] if found else []
    parts = [*sections(alert), ("Evidence", reading_lines(alert.readings)), ("Done", alert.done), ("Also", also)]
    for title, items in parts:
        lines += _console_list(title, items)
    when = timeline(alert)
    lines += [f"  Times: {when}"] if when else []
    lines += [f"  {one_line(alert.promise)}"] if alert.promise else []
    lines += [f"  {one_line(link.title)}: {one_line(link.url)}" for link in alert.links]
    lines += [f"  Acknowledge: {one_line(by_command(alert))}"] if by_command(alert) else []
    lines += [f"  Runbook: {one_line(runbook(alert))}"] if runbook(alert) else []
    return [*lines, f"  alert {one_line(alert.alert_id)}"]


def _console_list(title: str, items: Sequence[str]) -> list[str]:
    shown = [f"    - {one_line(item)}" for item in items[:LINES_MAX]]
    left = len(items) - len(shown)
    return [f"  {title}:", *shown, *([f"    ... and {left} more"] if left else [])] if shown else []
