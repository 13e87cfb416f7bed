"""Drift in sentences: which column rose or fell against which window, since when, and which columns are broken.

Reads the summary of a drift artefact (`columns` by name with verdict, means, missing shares, problem, onset; `windows`). A broken column is told
as broken and never as risen or fallen: its numbers compare something with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from controlplane.core.weekly_format import (
    day,
    gap_text,
    interval_text,
    known,
    listed,
    moment,
    number,
    percent,
    value_text,
    whole_percent,
)

TITLES = {
    "tokens_in": ("Input tokens per request", "tokens"),
    "tokens_out": ("Output tokens per request", "tokens"),
    "tokens_cached": ("Cached tokens per request", "tokens"),
    "latency_ms": ("Latency per request", "ms"),
    "cost_usd": ("Cost per request", "USD"),
    "question_length": ("Length of the questions", "characters"),
    "answer_length": ("Length of the answers", "characters"),
    "intent_conf": ("Confidence in the intent", "share"),
    "intent_pred": ("Predicted intent", ""),
    "turn": ("Turns so far in the conversation", "turns"),
    "csat": ("CSAT", "points"),
    "model": ("Answering model", ""),
    "workflow": ("Workflow", ""),
    "segment": ("Customer segment", ""),
    "region": ("Region", ""),
    "channel": ("Channel", ""),
    "out_of_scope": ("Questions out of scope", ""),
    "language": ("Language of the questions", ""),
    "unknown_words": ("Unknown words in the questions", "share"),
    "question_distance": ("Distance of the questions to the reference", ""),
    "answer_kind": ("Kind of answer", ""),
    "refusal": ("Refusals", ""),
    "retrieval_score": ("Retrieval score", ""),
    "sources": ("Passages per answer", "passages"),
    "escalated": ("Escalations", "share"),
    "misclassified": ("Misclassification", "share"),
    "ungrounded": ("Ungrounded answers", "share"),
    "groundedness": ("Groundedness score", ""),
}
"""Name for people and unit of the columns that are watched; any other column is named as it is."""

RESTS = {
    "csat": ("csat", "csat_response_rate"),
    "escalated": ("escalation_rate", "resolution_rate", "cost_per_resolved"),
    "resolved": ("resolution_rate", "resolution_time", "cost_per_resolved"),
    "intent_pred": ("misclassification_rate",),
    "intent_true": ("misclassification_rate",),
    "latency_ms": ("latency_p50", "latency_p95", "latency_mean", "slow_share"),
    "timed_out": ("timeout_rate",),
    "error_type": ("request_error_rate",),
    "tokens_in": ("tokens_per_request", "cost_per_1k_tokens"),
    "tokens_out": ("tokens_per_request", "cost_per_1k_tokens"),
    "cost_usd": ("cost_per_1k_tokens", "cost_per_resolved", "costly_share"),
    "model": ("model_usage",),
}
"""Which figures of the catalogue are computed from a column."""

PROBLEMS = {
    "missing in current": "it is no longer there",
    "missing in reference": "it was not there before",
    "all NULL": "every value is missing, then and now",
    "all NULL in current": "every value is missing",
    "all NULL in reference": "every value was missing before",
    "no rows": "there are no rows",
}
YES_OR_NO = frozenset({"out_of_scope", "refusal", "escalated", "misclassified", "ungrounded", "timed_out"})
"""Columns of which the share of "true" is what moves."""
LUCK = 0.001
NAMED = 4  # columns and metrics that a sentence names
YEAR_DAYS, SLACK_DAYS = 364, 10
Plain = Mapping[str, Any]


def resting_on(column: str) -> tuple[str, ...]:
    """Names of the figures that are computed from that column."""
    return RESTS.get(column, ())


def broken_columns(drift: Plain) -> list[str]:
    """Columns that cannot be compared because something is wrong with them, by name.

    A column that was rarely filled and is empty now may be so by luck (an error type in a week without errors): it accuses nobody.
    """
    columns = drift.get("columns") or {}
    named = set(drift.get("broken") or ())
    named |= {name for name, item in columns.items() if str(item.get("verdict")) == "ERROR"}
    return sorted(name for name in named if not _rarely_filled(columns.get(name) or {}))


def _rarely_filled(item: Plain) -> bool:
    """Whether a window of that size is empty with a chance above `LUCK` when values are as rare as in the reference."""
    share, rows = item.get("reference_missing"), item.get("current_rows")
    if str(item.get("problem") or "") != "all NULL in current" or not known(share) or not known(rows):
        return False
    return bool(float(share) ** float(rows) > LUCK)


def drift_changes(drift: Plain, figures: Sequence[Plain]) -> Iterable[dict[str, Any]]:
    """Fields of a `Change` for each broken and each drifted column."""
    columns = drift.get("columns") or {}
    broken = broken_columns(drift)
    titles = {item["name"]: item["title"] for item in figures}
    unknown = {item["name"] for item in figures if not known(item["assistant"].get("value"))}
    for name in broken:
        item = columns.get(name) or {}
        sentence = _broken(name, item, titles, unknown, _onset(item.get("onset"), _short(drift)))
        yield {"kind": "broken column", "subject": name, "direction": "broken", "sentence": sentence, "numbers": {}}
    against, short = reference_words(drift), _short(drift)
    for name in sorted(columns):
        item = columns[name]
        if name in broken or not item.get("drifted"):
            continue
        found = _drifted(name, item, against, _onset(item.get("onset"), short))
        yield {"kind": "drift", "subject": name, "size": _size(item)} | found


def effect_changes(drift: Plain, level: float | None) -> Iterable[dict[str, Any]]:
    """Fields of a `Change` for what moved beside drifted columns: metrics whose interval leaves out 0, before and after the drift began."""
    drifted = {name for name, item in (drift.get("columns") or {}).items() if item.get("drifted")}
    for effect in drift.get("effects") or ():
        columns = [name for name in effect.get("columns") or () if name in drifted]
        moved = [
            metric for metric in effect.get("metrics") or () if _evident(metric) and metric["metric"] not in columns
        ]
        if not columns or not moved:
            continue
        began = _onset(effect.get("at"), _short(drift))
        since = f" since about {began}" if began else ""
        said = "; ".join(_effect(metric, level) for metric in moved[:NAMED])
        sentence = f"The drift of {_few(columns)}{since} went together with: {said}."
        numbers = {
            f"{metric['metric']}_{key}": metric[key]
            for metric in moved[:NAMED]
            for key in ("difference", "low", "high")
        }
        yield {
            "kind": "beside drift",
            "subject": ", ".join(columns),
            "direction": "moved",
            "sentence": sentence,
            "numbers": numbers,
            "size": 1.0,
        }


def _evident(metric: Plain) -> bool:
    ends = [metric.get(key) for key in ("difference", "low", "high")]
    return all(known(end) for end in ends) and (min(ends) > 0 or max(ends) < 0)  # type: ignore[type-var, operator]


def _effect(metric: Plain, level: float | None) -> str:
    unit = str(metric.get("unit") or "")
    word = "rose" if metric["difference"] > 0 else "fell"
    own = metric.get("level", level)
    basis = f"{percent(own, 0)} interval" if known(own) else "interval"
    title = TITLES.get(metric["metric"], (f"`{metric['metric']}`", ""))[0]
    return f"{title} {word} by {gap_text(metric['difference'], unit)} ({basis} {interval_text(metric['low'], metric['high'], unit)})"


def _few(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names[:NAMED]]
    more = len(names) - NAMED
    return listed([*shown, f"{more} more"] if more > 0 else shown)


def reference_words(drift: Plain) -> str:
    """What a drift analysis compared with: "the same weeks last year" where the windows lie a year apart, else the reference's label and days."""
    windows = drift.get("windows") or {}
    reference, current = (windows.get(side) or {} for side in ("reference", "current"))
    starts = [_date(window.get("since")) for window in (reference, current)]
    ends = [_date(window.get("until")) for window in (reference, current)]
    if starts[0] is None or starts[1] is None:
        return str(reference.get("label") or "the reference")
    span = _span(str(reference["since"]), starts[0], str(reference.get("until")), ends[0])
    apart = [(b - a).days for a, b in zip(starts, ends, strict=True) if a is not None and b is not None]
    if abs((starts[1] - starts[0]).days - YEAR_DAYS) <= SLACK_DAYS and len({-(-days // 7) for days in apart}) == 1:
        return f"the same weeks last year ({span})"
    label = str(reference.get("label") or "").strip()
    label = "the time before" if label == "before" else label
    return f"{label or 'the reference'} ({span})"


def _short(drift: Plain) -> bool:
    """Whether the window that was looked at lies within a day: then a day says too little of when something began."""
    window = (drift.get("windows") or {}).get("current") or {}
    since, until = (_date(window.get(side)) for side in ("since", "until"))
    return since is not None and until is not None and (until - since).days < 1


def _onset(text: object, short: bool) -> str:
    """The day, or in a short window the minute, at which something began; empty where that is not known."""
    return "" if not text else moment(str(text)) if short else day(str(text))


def _span(since: str, start: datetime, until: str, end: datetime | None) -> str:
    """The days of a window, or its hours where it lies within a day."""
    if end is None:
        return f"from {day(since)}"
    if (end - start).days < 1:
        return f"{day(since)}, {start:%H:%M} to {end:%H:%M} UTC"
    return f"{day(since)} to {day(until)}"


def _drifted(name: str, item: Plain, against: str, began: str) -> dict[str, Any]:
    title, unit = TITLES.get(name, (f"The column `{name}`", ""))
    now, before = item.get("current_mean"), item.get("reference_mean")
    onset = f"; it began about {began}" if began else ""
    was, has = (item.get(f"{side}_missing") for side in ("reference", "current"))
    if str(item.get("problem") or "") == "missing values" and known(was) and known(has):
        sentence = f"{percent(has)} of the values of `{name}` are missing, against {percent(was)} in {against}{onset}."
        return {
            "direction": "higher" if has > was else "lower",
            "sentence": sentence,
            "numbers": {"now": has, "before": was},
        }
    if known(now) and known(before) and value_text(now, unit) != value_text(before, unit):
        return _shifted(title, unit, float(now), float(before), against, onset)
    numbers = {key: item[key] for key in ("score", "threshold") if known(item.get(key))}
    basis = f" ({item.get('method') or 'distance'} {number(numbers['score'], 2)}" if "score" in numbers else ""
    basis += (
        f", threshold {number(numbers['threshold'], 2)})" if basis and "threshold" in numbers else ")" if basis else ""
    )
    added = [(str(pair[0]), float(pair[1])) for pair in item.get("new_categories") or () if known(pair[1])]
    news = "; new: " + listed(f"'{label}' ({percent(share)})" for label, share in added[:3]) if added else ""
    numbers |= {f"new_{i}": share for i, (_, share) in enumerate(added[:3])}
    what = (
        "The share of" if name in YES_OR_NO else "The mix of" if item.get("kind") == "categorical" else "The spread of"
    )
    noun = f"`{name}`" if name not in TITLES else title[:1].lower() + title[1:]
    return {
        "direction": "moved",
        "sentence": f"{what} {noun} changed against {against}{basis}{news}{onset}.",
        "numbers": numbers,
    }


def _shifted(title: str, unit: str, now: float, before: float, against: str, onset: str) -> dict[str, Any]:
    word = "rose" if now > before else "fell"
    numbers = {"now": now, "before": before}
    if unit == "share" or unit == "points" or before <= 0 or now < 0:
        by = f"by {gap_text(now - before, unit)}"
        numbers["difference"] = now - before
    else:
        numbers["relative"] = now / before - 1
        by = f"by {_relative(now / before - 1)}"
    was, has = value_text(before, unit), value_text(now, unit)
    noun = unit if unit in ("tokens", "characters", "turns") else ""
    has = has.removesuffix(f" {noun}") if noun else has
    was = was.removesuffix(f" {noun}") if noun else was
    sentence = f"{title} {word} {by} against {against}: {has} instead of {was}{onset}."
    return {"direction": "higher" if now > before else "lower", "sentence": sentence, "numbers": numbers}


def _relative(share: float) -> str:
    size = abs(share)
    return percent(size, 1) if size < 0.095 else whole_percent(size) if size < 10 else f"{number(100 * size, 0)} %"


def _broken(name: str, item: Plain, titles: Mapping[str, str], unknown: set[str], began: str) -> str:
    problem = str(item.get("problem") or "")
    what = PROBLEMS.get(problem) or str(item.get("reason") or problem or "it cannot be compared").strip().rstrip(".")
    since = f" since about {began}" if began else ""
    rests = [figure for figure in resting_on(name) if figure in titles]
    gone = [titles[figure] for figure in rests if figure in unknown]
    left = [titles[figure] for figure in rests if figure not in unknown]
    tail = f" Unknown for that reason: {listed(gone)}." if gone else ""
    tail += f" What rests on it covers only the values that are left: {listed(left)}." if left else ""
    return f"The column `{name}` is broken: {what}{since}.{tail}"


def _size(item: Plain) -> float:
    score, threshold = item.get("score"), item.get("threshold")
    if known(score) and known(threshold) and threshold:
        return float(score) / float(threshold)
    return 1.0


def _date(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
