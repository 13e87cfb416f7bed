"""An alert in words: the sentences that Slack, the console and any other receiver share. Pure; plain text, nothing escaped.

What is not known is said, never left out: a cut without a verification reads "NOT verified yet", an arm without units "no data".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import exp, log

from alerts.model import Alert, Reading, Status, Times
from alerts.wording_incident import standing_facts

# Control characters, lone surrogates, and the marks that reverse the reading direction: none may reach a screen as they are.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_CONTAINS = ("rollback", "disable_execution")
_WORDS = {"rollback": "Rolled back", "disable_execution": "Workflow execution disabled", "hold": "Ramp held"}
_SECTIONS = (
    ("answer", "May we grow?"),
    ("success", "Success measures"),
    ("changes", "What changed"),
    ("read_on", "Read on"),
)
_FACTS = (
    ("release", "Release"),
    ("phase", "Phase"),
    ("trigger", "Trigger"),
    ("metric", "Metric"),
    ("segment", "Segment"),
)


def clean(text: str) -> str:
    """The text without anything that is not meant to be read; tabs become spaces, line breaks stay."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\t", " "))


def one_line(text: str) -> str:
    """The text on one line."""
    return " ".join(clean(text).split())


def headline(alert: Alert) -> str:
    """Severity, or that it is over, and the title."""
    word = "RESOLVED" if alert.status is Status.RESOLVED else str(alert.severity).upper()
    return f"{word} · {one_line(alert.title)}"


def containment(alert: Alert) -> str:
    """What was done about it and whether that is verified, or an empty text where nothing is to be contained."""
    action, times = alert.labels.get("action", ""), alert.times
    if times.cut is None:
        return "Not contained: no cut is recorded yet." if action in _CONTAINS else ""
    what = _WORDS.get(action, "Traffic cut")
    if times.verified is None:
        return f"{what}, NOT verified yet."
    if times.detected is None:
        return f"{what}, verified in {duration(times.verified - times.cut)} after the cut."
    return f"{what}, verified in {duration(times.verified - times.detected)} after detection."


def facts(alert: Alert) -> list[tuple[str, str]]:
    """Name and value of what identifies the alert and of where its incident stands, at most ten."""
    found = [(name, alert.labels[label]) for label, name in _FACTS if alert.labels.get(label)]
    if alert.labels.get("alertname") == "review":
        return found  # a week, not an event: who was exposed to what is told with each incident
    exposed = "unknown" if alert.customers_exposed is None else f"{alert.customers_exposed:,}"
    of = [("Incident", alert.incident_id)] if alert.incident_id else []
    return [*standing_facts(alert), ("Customers exposed", exposed), *of, *found]


def sections(alert: Alert) -> list[tuple[str, list[str]]]:
    """Title and lines of what an alert tells beyond its summary: what a review says of the week."""
    found = [(title, alert.annotations.get(name, "")) for name, title in _SECTIONS]
    return [(title, [line for line in text.split("\n") if line.strip()]) for title, text in found if text.strip()]


def duration(span: timedelta) -> str:
    """A span for people: "4.2 s", "12 min 30 s", "3 h 5 min", "2 d 3 h"; negative spans keep their sign."""
    exact = span.total_seconds()
    sign, whole = ("-" if exact < 0 else ""), int(abs(exact))
    if whole < 60:
        return f"{sign}{abs(exact):.1f} s"
    if whole < 3_600:
        return f"{sign}{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{sign}{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{sign}{whole // 86_400} d {whole % 86_400 // 3_600} h"


def timeline(alert: Alert) -> str:
    """onset -> detected -> cut -> verified and alerted as they came, each with the time since the one before, UTC; empty when none is known."""
    times = alert.times
    moments = [("onset", times.onset), ("detected", times.detected)]
    if times.cut is not None or times.verified is not None or alert.labels.get("action") in _CONTAINS:
        moments += [("cut", times.cut), ("verified", times.verified)]
    moments.append(("alerted", times.alerted))
    if times.alerted is not None and times.verified is not None and times.alerted < times.verified:
        moments[-2:] = reversed(moments[-2:])  # people are told at once, the verification takes its time
    if times == Times(alerted=times.alerted):
        return ""
    parts: list[str] = []
    before: datetime | None = None
    for name, moment in moments:
        parts.append(f"{name} {_clock(moment, before)}")
        before = moment or before
    return " → ".join(parts)


def _clock(moment: datetime | None, before: datetime | None) -> str:
    if moment is None:
        return "unknown" if before is None else "not yet"
    if before is None:
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    shown = f"{moment:%H:%M:%S}" if moment.date() == before.date() else f"{moment:%Y-%m-%d %H:%M:%S}"
    return f"{shown} ({'+' if moment >= before else ''}{duration(moment - before)})"


def reading_lines(readings: Sequence[Reading]) -> list[str]:
    """One line a reading: those that fired first, then the nearest to their threshold."""
    return [reading_line(r) for r in sorted(readings, key=lambda r: (not r.fired, -_progress(r)))]


def _progress(reading: Reading) -> float:
    return float("-inf") if reading.log_e is None else reading.log_e - reading.log_threshold


def reading_line(reading: Reading) -> str:
    """Evidence against threshold, counts of both arms, and the estimate, labelled as selected."""
    where = f"{reading.trigger} ({reading.segment})" if reading.segment else reading.trigger
    mark = "fired" if reading.fired else "not fired"
    mark += "" if reading.exact else ", approximate"
    found = f"evidence {magnitude(reading.log_e)} of {magnitude(reading.log_threshold)} needed ({mark})"
    return f"{where}: {found}; {_counts(reading)}{_estimate(reading)}"


def magnitude(log_e: float | None) -> str:
    """An e-value from its natural log: "1,250", "3.1e+05", "10^40"; "none" without evidence."""
    if log_e is None:
        return "none"
    digits = log_e / log(10)
    if digits > 15:
        return f"10^{digits:.0f}"
    value = exp(log_e)
    return f"{value:,.0f}" if 100 <= value < 1e5 else f"{value:.3g}"


def _counts(reading: Reading) -> str:
    first, second = (
        ("one half of the baseline", "the other") if reading.trigger == "aa_shadow" else ("assistant", "baseline")
    )
    treated = f"{first} {_share(reading.x_t, reading.n_t, reading.mean_t)}"
    if reading.n_c == 0 and not reading.x_c:
        return treated
    return f"{treated}, {second} {_share(reading.x_c, reading.n_c, reading.mean_c)}"


def _share(events: int | None, units: int, mean: float | None) -> str:
    if units == 0:
        return "no data"
    if events is None:
        return f"{units:,} answers" if mean is None else f"mean {mean:.2f} of {units:,} answers"
    return f"{events:,}/{units:,} = {100 * events / units:.1f} %"


def _estimate(reading: Reading) -> str:
    if not reading.estimate:
        return ""
    interval = f" {reading.interval}" if reading.interval else ""
    return f"; estimate {reading.estimate}{interval} since the likely onset (selected)"
