"""A story as HTML: times on the left, what was said in the middle, details behind a click. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dashboards import ui
from dashboards.conversation.story import Line, Moment, Story, after

NOTHING_SAID = "(no text was stored)"


def facts(story: Story) -> str:
    """The facts beside the story, as a list of terms."""
    cells = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(value)}</dd></div>" for term, value in story.facts)
    return f'<dl class="cp-about">{cells}</dl>'


def moments(story: Story, name: str) -> str:
    """All moments in their order. `name`: who answers, as a label."""
    rows = "".join(f"<li>{_when(one)}{_body(one, name)}</li>" for one in story.moments)
    return f'<ol class="cp-talk">{rows}</ol>'


def _when(one: Moment) -> str:
    return f'<span class="cp-after">{escape(after(one.at)) or "&nbsp;"}</span>'


def _body(one: Moment, name: str) -> str:
    if one.question is None:
        chips = "".join(ui.chip(text, tone) for text, tone in one.chips)
        text = f"<p>{escape(one.text)}</p>" if one.text else ""
        return f'<div class="cp-moment"><div class="cp-head"><b>{escape(one.title)}</b>{chips}</div>{text}{details(one.details)}</div>'
    return (
        '<div class="cp-moment cp-turn">'
        f"{_bubble('Customer', one.question, '')}{_bubble(name, one.answer or '', one.tone)}"
        f'<div class="cp-marks">{_marks(one)}</div>{_small(one.meta)}{_steps(one)}</div>'
    )


def _bubble(who: str, text: str, tone: str) -> str:
    edge = f" cp-answer cp-edge-{tone}" if tone else ""
    shown = escape(text).replace("\n", "<br>") if text else f"<i>{NOTHING_SAID}</i>"
    return f'<div class="cp-bubble{edge}"><span>{escape(who)}</span><p>{shown}</p></div>'


def _marks(one: Moment) -> str:
    chips = "".join(ui.chip(text, tone) for text, tone in one.chips)
    sources = "".join(f'<span class="cp-source">{escape(name)}</span>' for name in one.sources)
    return chips + (f'<span class="cp-small">Sources</span>{sources}' if sources else "")


def _small(text: str) -> str:
    return f'<div class="cp-small">{escape(text[:1].upper() + text[1:])}</div>' if text else ""


def _steps(one: Moment) -> str:
    if not one.details:
        return ""
    word = "step" if len(one.details) == 1 else "steps"
    return f"<details><summary>How this answer was made: {len(one.details)} {word}</summary>{details(one.details)}</details>"


def details(lines: Sequence[Line]) -> str:
    """Lines as a small table; "" without any."""
    if not lines:
        return ""
    rows = "".join(_line(line) for line in lines)
    head = '<tr><th>Step</th><th>Result</th><th class="cp-num">Took</th><th class="cp-num">Cost</th></tr>'
    return f'<div class="cp-scroll"><table class="cp-lines cp-narrow"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _line(line: Line) -> str:
    result = ui.chip(line.result, line.tone) if line.tone and len(line.result) < 60 else escape(line.result)
    return (
        f'<tr><td>{escape(line.what)}</td><td>{result}</td><td class="cp-num">{escape(line.took)}</td>'
        f'<td class="cp-num">{escape(line.cost)}</td></tr>'
    )
