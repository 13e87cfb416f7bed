"""What changed in the week, as ranked sentences made from a review's numbers alone.

Rules
- A change is told where there is evidence: the interval of a figure's change leaves out 0, drift passed both its tests, a topic is new or grew.
- First what needs a person now: open incidents, incidents of the week, broken columns, a cost forecast that leaves the budget behind. Then the
  changes by their size, as a multiple of a yardstick: the programme's margin for a measure that has one, a tenth of last week's value for
  other figures, the drift threshold for drift, one in a hundred questions for a topic.
- A figure that rests on a broken column changes nothing: the column is told instead.
- Weeks and drift windows are not drawn at random, so nothing here says "because": what moved beside drifted columns "went together with" them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.weekly_drift import broken_columns, drift_changes, effect_changes, resting_on
from controlplane.core.weekly_format import (
    count_text,
    duration,
    gap_text,
    interval_text,
    known,
    moment,
    percent,
    plural,
    value_text,
)
from controlplane.core.weekly_success import difference_unit, interval_words

RULE = (
    "Open incidents first, then incidents of the week, broken columns and a forecast above the budget; then changes whose interval leaves out 0, "
    "drift and topics, by their size as a multiple of a yardstick: the programme's margin, else a tenth of last week's value; the drift "
    "threshold; one in a hundred questions."
)
MEASURE_OF = {
    "csat": "csat",
    "misclassification_rate": "misclassification",
    "escalation_rate": "escalation",
}
DRIFT_DAYS = 35  # the analysis is monthly: a month, and some days for it to run
URGENT, FIRST, BROKEN, BUDGET, SIZED = range(5)
OVER = ("resolved", "reviewed", "closed")
Plain = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One change: what kind of thing, which, which way (higher, lower, new, broken, open, closed, moved), in a sentence, by these numbers.

    `tier` and `size` rank it; `verdict` is better, worse or empty where neither can be said.
    """

    kind: str
    subject: str
    direction: str
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    tier: int = SIZED
    size: float = 0.0
    verdict: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without what only ranks."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "direction": self.direction,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "numbers": dict(self.numbers),
        }


def changes_of(document: Plain, level: float | None) -> list[Change]:
    """All changes of a review, most important first; ties by kind and subject, so that the order never depends on the order of keys."""
    drift = current_drift(document)
    silent = {name for column in broken_columns(drift) for name in resting_on(column)}
    figures = [item for item in document.get("figures") or () if item["name"] not in silent]
    margins = {
        item["measure"]: item.get("margin")
        for item in document.get("success") or ()
        if difference_unit(item) == item["unit"]
    }
    found = [*_incidents(document.get("incidents") or ())]
    found += [
        Change(tier=BROKEN if item["kind"] == "broken column" else SIZED, **item)
        for item in drift_changes(drift, document.get("figures") or ())
    ]
    found += [Change(tier=SIZED, **item) for item in effect_changes(drift, level)]
    found += _budget(document.get("cost") or {})
    found += [change for item in figures if (change := _figure(item, margins, level)) is not None]
    found += _topics(current_topics(document))
    return sorted(found, key=lambda item: (item.tier, -item.size, item.kind, item.subject))


def current_drift(document: Plain) -> Plain:
    """The drift analysis where it is about this week or the month that ended with it; empty for an older or a later one, which is no news of it."""
    drift = document.get("drift") or {}
    window = (drift.get("windows") or {}).get("current") or {}
    return drift if _about(document, window, DRIFT_DAYS) else {}


def current_topics(document: Plain) -> Plain:
    """The topic analysis where it overlaps the week."""
    topics = document.get("topics") or {}
    return topics if _about(document, topics, 7) else {}


def _about(document: Plain, window: Plain, days: int) -> bool:
    """Whether a window ends within `days` before the end of the week, or begins in it; one that does not say its times counts."""
    times = [window.get("since"), window.get("until"), document.get("until")]
    try:
        since, until, end = (datetime.fromisoformat(str(text).replace("Z", "+00:00")) for text in times)
        return until > end - timedelta(days=days) and since < end
    except (ValueError, TypeError):
        return True


def evident(estimate: Plain | None) -> bool:
    """Whether an interval leaves out 0; an unknown end leaves out nothing."""
    if estimate is None:
        return False
    value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
    if not (known(value) and known(low) and known(high)):
        return False
    return bool((low > 0 and value > 0) or (high < 0 and value < 0))


def better_or_worse(value: float, direction: str) -> str:
    """The verdict of a move of that sign; empty for a figure of which neither way is better."""
    if direction not in ("lower", "higher") or value == 0:
        return ""
    return "better" if (value > 0) == (direction == "higher") else "worse"


def _figure(item: Plain, margins: Mapping[str, float | None], level: float | None) -> Change | None:
    change, now, before = item.get("change"), item["assistant"], item.get("last_week")
    if not evident(change) or change is None or before is None:
        return None
    if not (known(now.get("value")) and known(before.get("value"))):
        return None
    value, unit = float(change["value"]), item["unit"]
    if value * (now["value"] - before["value"]) <= 0:
        return None  # the two weeks and their change disagree: nothing is claimed
    verdict = better_or_worse(value, item["direction"])
    word = "rose" if value > 0 else "fell"
    tail = f", which is {verdict}" if verdict else ""
    basis = f"{interval_words(level)} of the change {interval_text(change['low'], change['high'], unit)}"
    sentence = (
        f"{item['title']} of the assistant {word} by {gap_text(value, unit)} against the week before{tail}: "
        f"{value_text(now['value'], unit)} instead of {value_text(before['value'], unit)} ({basis})."
    )
    margin = margins.get(MEASURE_OF.get(item["name"], ""))
    yardstick = (float(margin) if known(margin) else 0.0) or abs(float(before["value"])) / 10
    numbers = {f"change_{key}": change[key] for key in ("value", "low", "high")}
    numbers |= {"now": now["value"], "before": before["value"]}
    size = abs(value) / yardstick if yardstick else 0.0
    return Change("figure", item["name"], "higher" if value > 0 else "lower", sentence, numbers, SIZED, size, verdict)


def _incidents(items: Iterable[Plain]) -> Iterable[Change]:
    for item in items:
        over = str(item.get("state") or "").lower() in OVER or bool(item.get("resolved_at"))
        sentence, numbers = incident_words(item, over=over)
        tier = FIRST if over else URGENT
        yield Change(
            "incident",
            str(item.get("incident_id") or item.get("title")),
            "closed" if over else "open",
            sentence,
            numbers,
            tier,
        )


def incident_words(item: Plain, *, over: bool) -> tuple[str, dict[str, Any]]:
    """One incident in two or three sentences, and the numbers in them (seconds from detection to cut and to verification)."""
    seconds = {name: _between(item.get("detected_at"), item.get(f"{name}_at")) for name in ("cut", "verified")}
    exposed = item.get("customers_exposed")
    severity = f" ({item['severity']})" if item.get("severity") else ""
    parts = [f"Incident{severity}: {str(item.get('title') or item.get('incident_id')).strip().rstrip('.')}."]
    when = (
        f"Detected {moment(item.get('detected_at'))}" if item.get("detected_at") else "When it was detected is unknown"
    )
    if seconds["cut"] is None:
        when += ", no cut is recorded"
    else:
        when += (
            ", traffic cut at once"
            if abs(seconds["cut"]) < 0.05
            else f", traffic cut {duration(seconds['cut'])} after that"
        )
        when += (
            ", NOT verified"
            if seconds["verified"] is None
            else f", verified {duration(seconds['verified'])} after detection"
        )
    harm = f"{plural(exposed, 'customer')} exposed" if known(exposed) else "how many customers were exposed is unknown"
    parts += [f"{when}; {harm}.", "It is over." if over else "It is open."]
    numbers = {f"{name}_seconds": value for name, value in seconds.items() if value is not None}
    return " ".join(parts), numbers | ({"customers_exposed": exposed} if known(exposed) else {})


def _between(start: object, end: object) -> float | None:
    if not start or not end:
        return None
    try:
        first, last = (datetime.fromisoformat(str(text).replace("Z", "+00:00")) for text in (start, end))
        return (last - first).total_seconds()
    except (ValueError, TypeError):
        return None


def _budget(cost: Plain) -> Iterable[Change]:
    forecast, budget = cost.get("forecast") or {}, cost.get("budget")
    value = forecast.get("value") if isinstance(forecast, Mapping) else forecast
    if not known(value) or not known(budget) or not budget or value <= budget:
        return
    low, high = (forecast.get(key) if isinstance(forecast, Mapping) else None for key in ("low", "high"))
    both = known(low) and known(high)
    basis = f" (interval {value_text(low, 'USD')} to {value_text(high, 'USD')})" if both else " (no interval)"
    doubt = ", though its interval reaches below it" if both and known(low) and float(low) <= float(budget) else ""
    month, line = value_text(value, "USD"), value_text(budget, "USD")
    sentence = f"The model cost of the month is forecast at {month}{basis}, above the budget of {line}{doubt}."
    numbers = {"forecast": value, "budget": budget} | ({"low": low, "high": high} if both else {})
    yield Change("cost", "budget", "higher", sentence, numbers, BUDGET, float(value) / float(budget), "worse")


def _topics(topics: Plain) -> Iterable[Change]:
    for item in topics.get("topics") or ():
        n, share = item.get("n"), item.get("share")
        change = item.get("change") or ("new" if item.get("new") else "same")
        if change not in ("new", "grown") or not known(n) or not known(share):
            continue
        label = str(item.get("label") or ", ".join(item.get("terms") or ()) or item.get("topic_id"))
        numbers = {"n": n, "share": share}
        if change == "new":
            was = item.get("before_n")
            before = f", {count_text(was)} before" if known(was) and was else ""
            numbers |= {"before_n": was} if before else {}
            sentence = f"A new topic came up: '{label}' ({plural(n, 'question')}{before}, {percent(share)} of the questions left open)."
        else:
            before_n, earlier = item.get("before_n"), item.get("before_share")
            if not known(before_n) or not known(earlier) or earlier >= share:
                continue
            numbers |= {"before_n": before_n, "before_share": earlier}
            sentence = (
                f"The topic '{label}' grew from {percent(earlier)} to {percent(share)} of the questions left open "
                f"({plural(n, 'question')}, {count_text(before_n)} before)."
            )
        direction = "new" if change == "new" else "higher"
        yield Change(
            "topic", str(item.get("topic_id") or label), direction, sentence, numbers, SIZED, 100 * float(share)
        )
