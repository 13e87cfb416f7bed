"""The weekly review in plain sentences for leadership, generated from its numbers and nothing else.

`words(document)` reads the review as a mapping (`Weekly.to_dict`), ignores what it may already hold under "words", and gives the same answer for
the same content whatever the order of keys. Every number in a sentence is a number of the document at the precision of `weekly_format`; what is
not known is said to be unknown and otherwise not talked about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.weekly import Movement
from controlplane.core.weekly_changes import RULE, URGENT, changes_of, current_drift
from controlplane.core.weekly_format import day, known, listed, moment, percent, plural
from controlplane.core.weekly_success import success_line

TOP = 8
WEEK = timedelta(days=7)
OPENINGS = {"yes": "Yes", "no": "No", "not yet": "Not yet", "nothing to grow": "Nothing to grow"}
CLOSINGS = {
    "yes": "it may grow",
    "no": "it must not grow",
    "not yet": "it may not grow yet",
    "nothing to grow": "there is nothing to grow",
}
NOT_RANDOM = (
    "Assistant and menu are compared on customers assigned at random; changes against last week and drift are not, so they "
    "say what went together, not what caused what."
)
Plain = Mapping[str, Any]


def words(document: Plain) -> dict[str, Any]:
    """{"headline", "answer", "success": [...], "changes": [...], "left_out", "rule", "notes": [...]}, JSON-ready.

    `success`: one item a measure with its `sentence`, `movement` and `numbers`. `changes`: the first `TOP`, most important first, each with kind,
    subject, direction, verdict, sentence and numbers; `left_out` counts the rest.
    """
    level = level_of(document)
    success = [success_line(item, level) for item in document.get("success") or ()]
    changes = changes_of(document, level)
    still_open = sum(item.kind == "incident" and item.tier == URGENT for item in changes)
    return {
        "headline": _headline(document, success, still_open),
        "answer": answer(document.get("may_grow") or {}),
        "success": success,
        "changes": [item.to_dict() for item in changes[:TOP]],
        "left_out": max(len(changes) - TOP, 0),
        "rule": RULE,
        "notes": _notes(document, success),
    }


def level_of(document: Plain) -> float | None:
    """The confidence of the review's intervals, where it is recorded: with the policy, else with the CSAT."""
    for section in ("policy", "csat"):
        level = (document.get(section) or {}).get("level")
        if known(level):
            return float(level)
    return None


def partial(document: Plain) -> bool:
    """Whether the review was made before its week had ended."""
    try:
        since, until = (datetime.fromisoformat(str(document[key]).replace("Z", "+00:00")) for key in ("since", "until"))
    except (KeyError, ValueError):
        return False
    return until - since < WEEK


def answer(may_grow: Plain) -> str:
    """May we grow? One sentence, and what is missing."""
    said = str(may_grow.get("answer") or "").lower()
    opening = OPENINGS.get(said)
    if opening is None:
        return "Unknown: whether the rollout may grow was not answered."
    lines = may_grow.get("lines") or ()
    passed = [line for line in lines if str(line.get("verdict")).upper() == "PASS"]
    missing = [line for line in lines if str(line.get("verdict")).upper() != "PASS"]
    told = tuple(
        f"{line.get('name')}:" for line in missing
    )  # a reason that only repeats a line of the gate is told with the line
    reasons = listed(
        str(reason).strip().rstrip(".") for reason in may_grow.get("reasons") or () if not str(reason).startswith(told)
    )
    if said == "yes":
        met = f" {plural(len(passed), 'condition')} of the gate met." if passed and not missing else ""
        return f"Yes: the rollout may grow{_target(may_grow.get('to'))}.{met}"
    parts = [f"{opening}: {reasons}." if reasons else f"{opening}."]
    if lines:
        parts.append(
            f"{len(passed)} of {plural(len(lines), 'condition')} of the gate {'is' if len(lines) == 1 else 'are'} met."
        )
    if missing:
        parts.append(f"Missing: {'; '.join(_line(line) for line in missing)}.")
    return " ".join(parts)


def _target(to: Any) -> str:
    if not isinstance(to, Mapping):
        return ""
    phase = f" ({to['phase']})" if to.get("phase") else ""
    return f" to {percent(to['share'])}{phase}" if known(to.get("share")) else phase


def _line(line: Plain) -> str:
    have, need = (str(line.get(key) if line.get(key) is not None else "").strip() for key in ("have", "need"))
    return f"{line.get('name')} ({have or 'nothing'}" + (f"; needs {need})" if need else ")")


def _headline(document: Plain, success: list[dict[str, Any]], still_open: int) -> str:
    """The week in one line: the five measures counted, whether it may grow, and open incidents."""
    counts = Counter(item["movement"] for item in success)
    kinds = [f"{counts[kind]} {kind}" for kind in Movement if counts[kind]]
    of = (
        f"of {plural(len(success), 'success measure')}, {listed(kinds)} against the menu"
        if success
        else "no success measure was looked at"
    )
    growing = CLOSINGS.get(
        str((document.get("may_grow") or {}).get("answer") or "").lower(), "whether it may grow is unknown"
    )
    week = f"Week {document.get('week')}" + (
        f" so far (to {moment(document.get('until'))})" if partial(document) else ""
    )
    tail = f"; {plural(still_open, 'incident')} {'is' if still_open == 1 else 'are'} open" if still_open else ""
    return f"{week}: {of}; {growing}{tail}."


def _notes(document: Plain, success: list[dict[str, Any]]) -> list[str]:
    """What the reader must know beside the numbers: corrections, what could not be told, and what may not be concluded."""
    found = []
    if document.get("corrects"):
        reason = str(document.get("correction_reason") or "no reason was given").strip().rstrip(".")
        found.append(f"This version corrects {document['corrects']}: {reason}.")
    found += [f"{str(note).strip().rstrip('.')}." for note in document.get("notes") or ()]
    for item in success:
        if item["disagrees"]:
            found.append(
                f"The recorded verdict on {item['title']} is not what its interval says, so it counts as unknown."
            )
    window = ((document.get("drift") or {}).get("windows") or {}).get("current") or {}
    if document.get("drift") and not current_drift(document):
        span = f"{day(window.get('since'))} to {day(window.get('until'))}"
        found.append(f"The newest drift analysis is of {span}: it says nothing of this week.")
    unknown = sorted(
        str(item["title"]) for item in document.get("figures") or () if not known(item["assistant"].get("value"))
    )
    if unknown:
        found.append(f"Not known this week: {listed(unknown)}.")
    if document.get("figures") or document.get("drift"):
        found.append(NOT_RANDOM)
    return list(dict.fromkeys(found))
