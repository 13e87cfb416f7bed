"""The post-incident report as one HTML file: no script, no request to anywhere, light and dark, and it prints.

In the order in which somebody who was not there asks: what happened and how bad, is it over, how fast were we, how sure are we, what caused it,
who was told, what was learned, what is still to be done. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from controlplane.analysis.incident_svg import time_line
from controlplane.analysis.weekly_html_parts import code, empty, facts, mapping, rows_of, section, sentence, table, text
from controlplane.core.weekly_format import duration

STATES = {
    "open": ("fail", "open: nobody has acknowledged it"),
    "acknowledged": ("inconclusive", "somebody is on it; containment is not verified"),
    "contained": ("inconclusive", "contained and verified; its cause is being worked on"),
    "resolved": ("inconclusive", "resolved; not yet reviewed"),
    "reviewed": ("pass", "resolved and reviewed"),
}
SPANS = {
    "detect": "onset to detection",
    "alert": "detection to the first message",
    "acknowledge": "detection to acknowledgement",
    "cut": "detection to the cut",
    "contain": "detection to verified containment",
    "resolve": "detection to resolution",
    "review": "resolution to review",
}
MOMENTS = {
    "onset": "likely onset",
    "detected": "detected",
    "cut": "traffic cut",
    "verified": "cut verified",
    "alerted": "people told",
    "acknowledged": "acknowledged",
    "resolved": "resolved",
    "reviewed": "reviewed",
}
AGAIN = "It came back, or was reopened, at {at} UTC: what was done since then counts from there."


def page(found: Mapping[str, Any]) -> str:
    """The page of a document of `jobs.after_report`."""
    style = "".join(
        files(package).joinpath(name).read_text(encoding="utf-8")
        for package, name in (("controlplane", "report_style.css"), ("controlplane.analysis", "incident_report.css"))
    )
    parts = [
        _answer(found),
        section("How fast", _fast(found), name="times", note="Seconds count from the record, not from memory; UTC."),
        section("How sure", _sure(found), name="evidence"),
        section("Containment", _containment(found), name="containment"),
        section("Likely causes", _causes(mapping(found["causes"])), name="causes"),
        section("Timeline", _timeline(found), name="timeline"),
        section("Who was told", _told(found), name="told"),
        section("What was learned", _learned(found), name="learned"),
        section("To do", _actions(found), name="actions"),
    ]
    title = f"Incident {found['incident_id']}: {found['title']}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(parts)}{_origin(found)}</main></body></html>\n"
    )


def _answer(found: Mapping[str, Any]) -> str:
    colour, words = STATES.get(str(found["state"]), ("no_data", str(found["state"])))
    exposed = found["customers_exposed"]
    met = "unknown how many customers met it" if exposed is None else f"{exposed:,} customers were exposed"
    until = f"from the likely onset to the {'cut' if found['times']['cut'] else 'detection'}"
    owner = f"; in charge: {found['owner']}" if found["owner"] else "; nobody is in charge"
    serious = mapping(found["serious"])
    clock = ""
    if serious:
        reported = f", reported {_minute(serious['reported_at'])}" if serious.get("reported_at") else ""
        clock = f"<p><strong>Serious incident</strong> since {_minute(serious.get('since'))}, due {_minute(serious.get('due_at'))}{reported}.</p>"
    return (
        f'<p class="soft">Post-incident report &middot; {code(found["incident_id"])} &middot; release {escape(found["release"])}</p>'
        f'<section class="card answer {colour}"><div><h1>{escape(found["title"])}</h1>'
        f'<p><span class="badge {colour}">{escape(str(found["state"]))}</span> {escape(words)}{escape(owner)}.</p>'
        f"<p>{sentence(found['summary'] or 'No alert with a reason is in the record.')}</p>"
        f"<p>{escape(met[:1].upper() + met[1:])} {until}.</p>{clock}</div></section>"
    )


def _fast(found: Mapping[str, Any]) -> str:
    times = found["times"]
    rows = [(escape(MOMENTS[name]), _minute(times.get(name), seconds=True)) for name in MOMENTS if times.get(name)]
    missing = [MOMENTS[name] for name in MOMENTS if not times.get(name)]
    seconds = found["seconds"]
    spans = [
        (escape(words), escape(duration(seconds[name]))) for name, words in SPANS.items() if seconds[name] is not None
    ]
    note = f'<p class="soft">Not known or not yet: {escape(", ".join(missing))}.</p>' if missing else ""
    again = found.get("asked_again")
    if again:
        note += f'<p class="soft">{AGAIN.format(at=_minute(again, seconds=True))}</p>'
    picture = time_line([(MOMENTS[name], times[name]) for name in MOMENTS if times.get(name)])
    return (
        f'<div class="card scroll">{picture}</div><div class="pair">{table(("Span", "Took"), spans, "How long it took")}'
        f"{table(('Moment', 'UTC'), rows, 'When')}</div>{note}"
    )


def _sure(found: Mapping[str, Any]) -> str:
    lines = [f"<li>{sentence(line)}</li>" for line in found["evidence"]]
    promise = f'<p class="soft">{sentence(found["promise"])}</p>' if found["promise"] else ""
    if not lines:
        return empty("No statistical evidence: a person or a check of the data decided.") + promise
    return f'<div class="card"><ul>{"".join(lines)}</ul>{promise}</div>'


def _containment(found: Mapping[str, Any]) -> str:
    rows = [
        (
            escape(str(item.get("action", "")).replace("_", " ")),
            _minute(item.get("done_at"), seconds=True),
            _minute(item.get("verified_at"), seconds=True)
            if item.get("verified_at")
            else "<strong>NOT verified</strong>",
            text(item.get("how")),
        )
        for item in rows_of(found["containments"])
    ]
    if rows:
        return table(
            ("Action", "Done", "Verified", "How"),
            rows,
            "What was done to contain it, and how that was seen from outside",
        )
    if found["times"]["cut"] is None:
        return empty("Nothing was cut: the ramp was held, or people were told only.")
    state = "verified" if found["times"]["verified"] else "NOT verified"
    at = str(found["times"]["cut"])[:19].replace("T", " ")
    return empty(f"Traffic was cut at {at} UTC; {state}.")


def _causes(causes: Mapping[str, Any]) -> str:
    if causes.get("unknown"):
        return empty(f"Unknown: {causes['unknown']}")
    rows = [
        (
            f"{place}. {escape(str(item.get('title') or item.get('kind', '')))}",
            escape(str(item.get("standing") or item.get("verdict") or "")),
            "<br>".join(sentence(line) for line in item.get("evidence", ())[:4]) or text(None),
        )
        for place, item in enumerate(rows_of(causes.get("causes")), start=1)
    ]
    said = "".join(
        f"<li>{sentence(item.get('actor'))} disagrees: {sentence(item.get('cause'))} &ndash; {sentence(item.get('reason'))}</li>"
        for item in rows_of(causes.get("disagreements"))
    )
    disagreed = f'<div class="card"><ul>{said}</ul></div>' if said else ""
    if not rows:
        return empty("No cause could be ranked.") + disagreed
    head = f"<p>{sentence(causes['line'])}</p>" if causes.get("line") else ""
    notes = "".join(f'<p class="soft">{sentence(note)}</p>' for note in causes.get("notes", ()))
    return (
        head
        + table(
            ("Cause", "Standing", "Evidence"), rows[:5], "Ranked by the evidence in the data; a person may disagree"
        )
        + notes
        + disagreed
    )


def _timeline(found: Mapping[str, Any]) -> str:
    rows = [
        (_minute(item.get("at"), seconds=True), text(item.get("actor")), sentence(item.get("text")))
        for item in rows_of(found["timeline"])
    ]
    return table(("UTC", "Who", "What"), rows, "Written as it happened") or empty("Nothing is in the timeline.")


def _told(found: Mapping[str, Any]) -> str:
    rows = [
        (
            code(item.get("message")),
            text(item.get("receiver")),
            text(item.get("status")),
            _minute(item.get("sent_at"), seconds=True),
            text(item.get("attempts")),
        )
        for item in rows_of(found["told"])
    ]
    heads = ("Message", "Receiver", "Status", "Sent (UTC)", "Attempts")
    return table(heads, rows, "Every message about it", numbers=(4,)) or empty("Nobody was told.")


def _learned(found: Mapping[str, Any]) -> str:
    items = [
        f"{item['added']} conversations joined data set {item['dataset']} (version {str(item['version'])[:12]}), "
        f"{item['labelled']} of them with what a person said"
        for item in rows_of(found["learned"])
    ]
    items += [f"Nothing to learn by rows, says {reason}" for reason in found["nothing_learned"]]
    items += [
        f"Evaluation {run['run']} of {run['release']} on data with these conversations: {run['verdict']}"
        for run in rows_of(found["evaluations"])
    ]
    after = mapping(found["after"])
    if after:
        items.append(f"Release {after['release']} followed; it is {after['state']} in phase {after['phase']}")
    if not items:
        return empty("Nothing yet: `controlplane incident learn` puts its failed conversations into a data set.")
    return f'<div class="card"><ul>{"".join(f"<li>{sentence(item)}</li>" for item in items)}</ul></div>'


def _actions(found: Mapping[str, Any]) -> str:
    rows = [
        (
            text(item.get("text")),
            text(item.get("kind")),
            text(item.get("owner")),
            _minute(item.get("due_at")),
            "open"
            if item.get("open")
            else escape(f"{item.get('outcome')}: {item.get('evidence') or 'no evidence named'}"),
        )
        for item in rows_of(found["actions"])
    ]
    heads = ("Action", "Kind", "Owner", "Due", "State")
    return table(heads, rows, "Action items") or empty(
        "No action item: `controlplane incident action add` writes one down."
    )


def _origin(found: Mapping[str, Any]) -> str:
    pairs: Sequence[tuple[str, str]] = (
        ("Incident", code(found["incident_id"])),
        ("Rollout", code(found["rollout_id"])),
        ("Trigger", text(found["trigger"])),
        ("Severity", text(found["severity"])),
        ("Written", _minute(found["written_at"], seconds=True) + " UTC"),
    )
    return section("Where this comes from", facts(pairs), name="origin")


def _minute(value: object, *, seconds: bool = False) -> str:
    if not value:
        return text(None)
    return f'<span class="time">{escape(str(value)[: 19 if seconds else 16].replace("T", " "))}</span>'
