"""The post-incident report as Markdown, for a wiki or a ticket: the same document as the page, in the same order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.analysis.incident_html import AGAIN, MOMENTS, SPANS, STATES
from controlplane.core.weekly_format import duration

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>#|])")


def markdown(found: Mapping[str, Any]) -> str:
    """The report of a document of `jobs.after_report`; ends with a line break."""
    exposed = found["customers_exposed"]
    lines = [
        f"# Incident {_said(found['incident_id'])}: {_said(found['title'])}",
        "",
        f"- **State**: {STATES.get(str(found['state']), ('', _said(found['state'])))[1]}",
        f"- **Severity**: {_said(found['severity'])}; in charge: {_said(found['owner']) or 'nobody'}",
        f"- **Release**: {_said(found['release'])}, trigger {_said(found['trigger'])}",
        f"- **Customers exposed**: {'unknown' if exposed is None else f'{exposed:,}'}",
        *_serious(found["serious"]),
        f"- **Written**: {_time(found['written_at'])} UTC",
        "",
        _said(found["summary"]) or "No alert with a reason is in the record.",
    ]
    seconds = found["seconds"]
    lines += _part(
        "How fast",
        [
            f"- {words}: {duration(seconds[name]) if seconds[name] is not None else 'not known, or not yet'}"
            for name, words in SPANS.items()
        ],
    )
    if found.get("asked_again"):
        lines += ["", f"{AGAIN.format(at=_time(found['asked_again']))}"]
    lines += _part("How sure", [f"- {_said(line)}" for line in found["evidence"]] or ["No statistical evidence."])
    lines += ["", f"> {_said(found['promise'])}"] if found["promise"] else []
    lines += _part("Containment", [f"- {_contained(item)}" for item in found["containments"]] or ["See the timeline."])
    lines += _part("Likely causes", _causes(found["causes"]))
    moments = [f"| {MOMENTS[name]} | {_time(at)} |" for name, at in found["times"].items() if at and name in MOMENTS]
    lines += _part("Moments (UTC)", ["| Moment | UTC |", "|---|---|", *moments])
    lines += _part(
        "Timeline (UTC)",
        [
            f"- {_time(item.get('at'))} **{_said(item.get('actor'))}**: {_said(item.get('text'))}"
            for item in found["timeline"]
        ],
    )
    lines += _part("Who was told", [f"- {_told(item)}" for item in found["told"]] or ["Nobody."])
    lines += _part("What was learned", [f"- {line}" for line in _learned(found)] or ["Nothing yet."])
    lines += _part(
        "To do",
        [f"- [{' ' if item['open'] else 'x'}] {_action(item)}" for item in found["actions"]]
        or ["Nothing written down."],
    )
    return "\n".join(lines) + "\n"


def _part(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _contained(item: Mapping[str, Any]) -> str:
    verified = f"verified {_time(item['verified_at'])}" if item.get("verified_at") else "**NOT verified**"
    return f"{_said(item.get('action'))}: done {_time(item.get('done_at'))}, {verified}"


def _causes(causes: Mapping[str, Any]) -> list[str]:
    if causes.get("unknown"):
        return [f"Unknown: {_said(causes['unknown'])}"]
    found = [_said(causes["line"]), ""] if causes.get("line") else []
    for place, item in enumerate(causes.get("causes", ())[:5], start=1):
        found.append(
            f"{place}. **{_said(item.get('title') or item.get('kind'))}** ({_said(item.get('standing') or item.get('verdict') or '')})"
        )
        found += [f"   - {_said(line)}" for line in item.get("evidence", ())[:4]]
    found += [
        f"- {_said(item.get('actor'))} disagrees: {_said(item.get('cause'))}, {_said(item.get('reason'))}"
        for item in causes.get("disagreements", ())
    ]
    return found or ["No cause could be ranked."]


def _serious(serious: Mapping[str, Any]) -> list[str]:
    if not serious:
        return []
    reported = f"reported {_time(serious['reported_at'])} UTC" if serious.get("reported_at") else "**not reported**"
    return [
        f"- **Serious incident** ({_said(serious.get('kind'))}): due {_time(serious.get('due_at'))} UTC, {reported}"
    ]


def _told(item: Mapping[str, Any]) -> str:
    sent = f", {_time(item['sent_at'])}" if item.get("sent_at") else ""
    return f"{_said(item.get('message'))}: {_said(item.get('status'))}, {_said(item.get('receiver')) or 'no receiver'}{sent}"


def _learned(found: Mapping[str, Any]) -> Iterable[str]:
    for item in found["learned"]:
        yield f"{item['added']} conversations joined data set {_said(item['dataset'])} (version {str(item['version'])[:12]})"
    for reason in found["nothing_learned"]:
        yield f"nothing to learn by rows: {_said(reason)}"
    for run in found["evaluations"]:
        yield f"evaluation {_said(run['run'])} of {_said(run['release'])} on data with these conversations: {run['verdict']}"


def _action(item: Mapping[str, Any]) -> str:
    due = f", due {_time(item['due_at'])}" if item.get("due_at") else ""
    closed = "" if item["open"] else f" ({_said(item['outcome'])}: {_said(item['evidence']) or 'no evidence named'})"
    return f"{_said(item['text'])} ({_said(item['kind'])}, {_said(item['owner'])}{due}){closed}"


def _said(value: object) -> str:
    """A text that is read as it was written: nothing in it is taken for Markdown, and it stays on one line."""
    return _MEANS_SOMETHING.sub(r"\\\1", " ".join(str(value or "").split()))


def _time(value: object) -> str:
    return str(value)[:19].replace("T", " ") if value else "unknown"
