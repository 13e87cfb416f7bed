"""Pieces that the pages put on the screen. Texts from logs and people are escaped; nothing here reads or decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from controlplane.core.incident import is_over
from controlplane.core.model import RolloutState
from controlplane.store.state_rows import IncidentRow
from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer, Line
from dashboards.contained import CONTAIN, DISABLE, ROLLBACK, taken
from dashboards.words import clock, duration

MARKS = {GOOD: ("\u2713", "met"), WAIT: ("\u25cb", "not yet"), BAD: ("\u2715", "no"), QUIET: ("\u2013", "unknown")}
STATE_TONES = {
    RolloutState.RUNNING: GOOD,
    RolloutState.COMPLETE: GOOD,
    RolloutState.HELD: WAIT,
    RolloutState.ROLLED_BACK: BAD,
}
ACTS = {
    ROLLBACK: ("Traffic cut", "Cut verified", "after the cut"),
    DISABLE: ("Workflows off", "Seen to be off", "after that"),
    CONTAIN: ("Topic taken away", "Seen to be away", "after that"),
}
"""What an act that contains is called, what its verification is, and how far that is from it."""
INCIDENT_TONES = {"open": BAD, "acknowledged": BAD, "contained": WAIT, "resolved": GOOD, "reviewed": GOOD}
STATE_WORDS = {
    RolloutState.RUNNING: "Running",
    RolloutState.COMPLETE: "Complete",
    RolloutState.HELD: "Held",
    RolloutState.ROLLED_BACK: "Rolled back",
}


def chip(text: str, tone: str) -> str:
    """A short word on the colour of its state."""
    return f'<span class="cp-chip cp-{tone}">{escape(text)}</span>'


def head(title: str, right: str = "") -> str:
    """A card's first line: its title, and on the right some HTML (a chip)."""
    return f'<div class="cp-head"><span class="cp-title">{escape(title)}</span>{right}</div>'


def hero(answer: Answer) -> None:
    """The answer that a page opens with."""
    st.html(
        f'<div class="cp-hero cp-edge-{answer.tone}"><div class="cp-headline" role="heading" aria-level="1">'
        f"{escape(answer.headline)}</div><p>{prose(answer.sentence)}</p></div>"
    )


def prose(text: str) -> str:
    """Escaped text; `words in backticks` become code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def requirements(lines: Sequence[Line]) -> None:
    """The gate, line by line: mark, requirement, progress, what there is, what is needed."""
    rows = "".join(_requirement(line) for line in lines)
    head = (
        '<tr><th></th><th>Requirement</th><th class="cp-hide-small">Progress</th><th>There is</th><th>Needed</th></tr>'
    )
    st.html(f'<div class="cp-scroll"><table class="cp-lines"><thead>{head}</thead><tbody>{rows}</tbody></table></div>')


def _requirement(line: Line) -> str:
    mark, word = MARKS[line.tone]
    bar = ""
    if line.progress is not None:
        width = round(100 * line.progress)
        bar = f'<div class="cp-bar" role="img" aria-label="{width} %"><span style="width:{width}%"></span></div>'
    return (
        f'<tr><td><span class="cp-chip cp-{line.tone}" aria-label="{word}">{mark}</span></td><td>{escape(line.name)}</td>'
        f'<td class="cp-hide-small">{bar}</td><td>{escape(line.have)}</td><td>{escape(line.need)}</td></tr>'
    )


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numeric: Sequence[int] = (),
    when: Sequence[int] = (),
    why: int | None = None,
) -> None:
    """A plain table. Cells are HTML, so callers escape; `numeric` columns are right-aligned, `when` columns never wrap.

    why: the column of sentences; on a phone it stands below the others of its row.
    """

    def kind(index: int) -> str:
        if index == why:
            return ' class="cp-why"'
        return ' class="cp-num"' if index in numeric else ' class="cp-when"' if index in when else ""

    titles = "".join(f"<th{kind(i)}>{escape(title)}</th>" for i, title in enumerate(head))
    body = "".join(f"<tr>{''.join(f'<td{kind(i)}>{cell}</td>' for i, cell in enumerate(row))}</tr>" for row in rows)
    told = "" if why is None else " cp-told"
    st.html(
        f'<div class="cp-scroll"><table class="cp-lines{told}"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def tile(label: str, value: str, note: str = "", tone: str | None = None) -> None:
    """One figure with its label and a note; a tone puts the value on the colour of its state."""
    shown = chip(value, tone) if tone else escape(value)
    st.html(
        f'<div class="cp-tile"><div class="cp-small">{escape(label)}</div><div class="cp-value">{shown}</div>'
        f'<div class="cp-small">{escape(note) or "&nbsp;"}</div></div>'
    )


def section(title: str, note: str = "") -> None:
    """A heading with a line that says what is shown, in which unit, against which baseline."""
    st.markdown(f"### {title}")
    if note:
        st.caption(note)


def empty(title: str, next_step: str) -> None:
    """An empty state that says what to do next."""
    st.html(f'<div class="cp-empty"><b>{escape(title)}</b>{prose(next_step)}</div>')


def legend(baseline: str) -> None:
    """What solid and dashed mean."""
    st.html(
        '<div class="cp-legend"><i></i>assistant<i class="cp-dash"></i>'
        f"{escape(baseline)} (baseline) \u00b7 bands and bars are 95 % intervals \u00b7 times in UTC</div>"
    )


def figure(chart: Any, alt: str, key: str) -> None:
    """A chart with its text alternative."""
    drawn: Any = Drawn(chart)
    st.altair_chart(drawn, theme=None, width="stretch", alt=alt, key=key)


class Drawn:
    """A chart as Streamlit asks for it, not held against the schema of Vega-Lite again: that takes longer than making it, and the tests do it."""

    CHECKED = False

    def __init__(self, chart: Any) -> None:
        self._chart = chart

    def to_dict(self) -> dict[str, Any]:
        """The Vega-Lite specification."""
        found: dict[str, Any] = self._chart.to_dict(validate=self.CHECKED)
        return found


def containment(incident: IncidentRow) -> None:
    """Onset, detected, what was taken from customers, verified, alerted: each with its distance from the step that it answers."""
    act = taken(incident)
    label, seen, after = ACTS[act.action] if act else ("Traffic cut", "Cut verified", "")
    done, verified = (act.at, act.verified) if act else (None, None)
    open_end = "NOT yet" if act and act.pending else "never" if act else "\u2013"
    alert = "nobody was told" if is_over(incident.state) else "not yet"
    steps = (
        ("Likely onset", incident.onset_at, None, "", "not known"),
        ("Detected", incident.detected_at, incident.onset_at, "after onset", ""),
        (label, done, incident.detected_at, "after detection", "nothing was cut"),
        (seen, verified, done, after, open_end),
        ("First alert", incident.alerted_at, incident.detected_at, "after detection", alert),
    )
    cells = []
    for label, moment, before, word, missing in steps:
        shown = f"{moment.astimezone(UTC):%H:%M:%S}" if moment else missing
        note = f"{duration(moment - before)} {word}" if moment and before and moment >= before else "&nbsp;"
        cells.append(f"<div><span>{label}</span><b>{shown}</b><span>{note}</span></div>")
    st.html(f'<div class="cp-steps">{"".join(cells)}</div>')


def incident_head(incident: IncidentRow) -> str:
    """Title and state; what was taken from customers and not seen to hold is said in red whatever the state."""
    act = taken(incident)
    unverified = act is not None and act.verified is None
    doubt = "NOT verified yet" if act and act.pending else "never verified"
    cut = "cut " if act and act.action == ROLLBACK else ""
    word = incident.state.capitalize() + (f", {cut}{doubt}" if unverified else "")
    return head(incident.title, chip(word, BAD if unverified else INCIDENT_TONES.get(incident.state, BAD)))


def exposed(incident: IncidentRow) -> str:
    """How many customers met the harm."""
    if incident.customers_exposed is None:
        return "customers exposed: not known yet"
    return f"{incident.customers_exposed:,} customers served between onset and cut"


def when(moment: datetime, now: datetime) -> str:
    """A time for a table cell."""
    return escape(clock(moment, now))
