"""Drift in words: what each column is called, what an analysis says in one sentence, when a column began to move and why it is judged so. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from controlplane.core.metrics import METRICS, Metric
from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer
from dashboards.values import DriftReport
from dashboards.words import clock, stamp

Row = Mapping[str, Any]

TONES = {"PASS": GOOD, "FAIL": BAD, "ERROR": BAD, "INCONCLUSIVE": WAIT, "NO_DATA": QUIET}
WORDS = {"PASS": "Stable", "FAIL": "Moved", "ERROR": "Broken", "INCONCLUSIVE": "Unclear", "NO_DATA": "No data"}
ORDER = ("ERROR", "FAIL", "INCONCLUSIVE", "PASS", "NO_DATA")
MOST_NAMED = 3

TITLES = {
    "answer_kind": "Kind of answer",
    "answer_length": "Length of the answer",
    "arm": "Arm",
    "channel": "Channel",
    "cost_usd": "Cost of a request",
    "csat": "CSAT",
    "error_type": "Kind of error",
    "escalated": "Handed to a person",
    "groundedness": "Groundedness score",
    "intent_conf": "Confidence in the intent",
    "intent_pred": "Predicted intent",
    "language": "Language of the question",
    "latency_ms": "Latency",
    "misclassified": "Wrong intent",
    "model": "Model",
    "out_of_scope": "Out of scope",
    "question_distance": "How unusual the question is",
    "question_length": "Length of the question",
    "refusal": "Refused to answer",
    "region": "Region",
    "retrieval_score": "Retrieval score",
    "safety_route": "Safety route",
    "segment": "Customer segment",
    "sources": "Sources used",
    "timed_out": "Timed out",
    "tokens_cached": "Cached tokens",
    "tokens_in": "Tokens in",
    "tokens_out": "Tokens out",
    "turn": "Turn of the conversation",
    "ungrounded": "Ungrounded answer",
    "unknown_words": "Words never seen before",
    "workflow": "Workflow",
}
UNITS = {
    "answer_length": "characters",
    "cost_usd": "USD",
    "csat": "points",
    "latency_ms": "ms",
    "question_length": "characters",
    "tokens_cached": "tokens",
    "tokens_in": "tokens",
    "tokens_out": "tokens",
    "unknown_words": "share of the words",
}
EFFECTS = {
    "escalated": "escalation_rate",
    "csat": "csat",
    "misclassified": "misclassification_rate",
    "latency_ms": "latency_mean",
}


def title(column: str) -> str:
    """What people call a column; one of a file or a later version keeps its name, readable."""
    return TITLES.get(column, column.replace("_", " ").capitalize())


def unit(column: str) -> str:
    """The unit of its numbers, "" where there is none."""
    return UNITS.get(column, "")


def metric_of(name: str) -> Metric:
    """The catalogue's metric behind an outcome that is set beside drift."""
    return METRICS[EFFECTS[name]]


def rows(report: DriftReport) -> list[dict[str, Any]]:
    """The columns of an analysis: broken ones first, then what moved, the strongest first."""
    broken = set(report.summary.get("broken", ()))
    found = [{"column": name, "is_broken": name in broken, **told} for name, told in report.summary["columns"].items()]
    return sorted(
        found, key=lambda row: (not row["is_broken"], ORDER.index(row["verdict"]), -ratio(row), row["column"])
    )


def ratio(row: Row) -> float:
    """Score as a multiple of its threshold; 0 where there is none."""
    return float(row["score"] / row["threshold"]) if row["score"] is not None and row["threshold"] else 0.0


def word(row: Row) -> str:
    """The verdict for people."""
    return WORDS["ERROR" if row["is_broken"] else row["verdict"]]


def tone(row: Row) -> str:
    """The tone of the verdict."""
    return BAD if row["is_broken"] else TONES[row["verdict"]]


def moved(every: Sequence[Row]) -> list[Row]:
    """Columns whose distribution moved, without the broken ones."""
    return [row for row in every if row["verdict"] == "FAIL" and not row["is_broken"]]


def answer(every: Sequence[Row], now: datetime) -> Answer:
    """Has the traffic changed?"""
    gone, broken = moved(every), [row for row in every if row["is_broken"]]
    unclear = [row for row in every if row["verdict"] == "INCONCLUSIVE"]
    compared = sum(row["score"] is not None for row in every)
    question = "Has the traffic changed?"
    if not compared and not broken:
        return Answer(
            f"{question} Unknown.",
            "No column has values in both windows. Choose windows in which people talked.",
            QUIET,
        )
    parts = []
    if broken:
        parts.append(
            f"{_named(broken)} {'is' if len(broken) == 1 else 'are'} broken: values are missing or cannot be read"
        )
    if gone:
        parts.append(f"{_named(gone)} moved{_when(gone, now)}")
    if unclear:
        parts.append(f"{len(unclear)} {'is' if len(unclear) == 1 else 'are'} unclear")
    if not gone and not broken:
        headline = f"{question} {'Not visibly.' if unclear else 'No.'}"
        said = f"{compared} columns were compared; none moved beyond its threshold"
        return Answer(headline, f"{'; '.join([said, *parts])}.", WAIT if unclear else GOOD)
    headline = f"{question} Yes, in {len(gone)} of {compared} columns." if gone else f"{question} A column is broken."
    return Answer(headline, f"{'; '.join(parts)}.", BAD)


def _named(found: Sequence[Row]) -> str:
    names = [title(row["column"]) for row in found[:MOST_NAMED]]
    more = len(found) - MOST_NAMED
    if more > 0:
        return f"{', '.join(names)} and {more} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _when(found: Sequence[Row], now: datetime) -> str:
    """The moment at which most of them began, where it can be told."""
    onsets = [str(row["onset"]) for row in found if row.get("onset")]
    if not onsets:
        return ""
    often = max(sorted(set(onsets)), key=onsets.count)
    return f", {'' if onsets.count(often) == len(found) else f'{onsets.count(often)} of them '}since about {clock(moment(often), now)}"


def moment(text: str) -> datetime:
    """A time as analyses write it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def window(told: Mapping[str, Any]) -> str:
    """`5 Jan 10:12 to 10:16`, with the day of the end where it is another."""
    since, until = moment(told["since"]), moment(told["until"])
    last = f"{until:%H:%M}" if since.date() == until.date() else f"{until.day} {until:%b %H:%M}"
    return f"{since.day} {since:%b %H:%M} to {last}"


def side(told: Mapping[str, Any]) -> str:
    """What was looked at in a window: arm and release, where it was not everything."""
    parts = [told.get("release"), told.get("arm") and f"{told['arm']} only"]
    return ", ".join(part for part in parts if part) or "both arms"


def label(report: DriftReport) -> str:
    """An analysis in a list: what was compared with what, and when it was made."""
    windows = report.summary["windows"]
    current, reference = windows["current"], windows["reference"]
    sides = [
        told["release"] if told.get("release") else told.get("arm") or "both arms" for told in (current, reference)
    ]
    who = sides[0] if sides[0] == sides[1] else f"{sides[0]} against {sides[1]}"
    return f"{window(current)} against {window(reference)}, {who} (made {stamp(report.created_at)} UTC)"


def since(row: Row, now: datetime) -> str:
    """When it began, where that can be told."""
    if row.get("onset"):
        return clock(moment(str(row["onset"])), now)
    detail = row.get("onset_detail")
    return str(detail["shape"]) if detail else "\u2013"


def why(row: Row) -> str:
    """The reason without the score and threshold that have columns of their own."""
    if row["score"] is None:
        return str(row["reason"])
    measured = f"{row['method']} {row['score']:.3g} of {row['threshold']:g}"
    return str(row["reason"]).removeprefix(measured).removesuffix(f"; {measured}").lstrip(";, ").removeprefix("but ")


def onset_sentence(row: Row, now: datetime) -> str:
    """When and how the column changed, in a sentence; "" where nothing is known."""
    detail = row.get("onset_detail")
    if not detail:
        return ""
    reason = f"{detail['reason'][:1].upper()}{detail['reason'][1:]}"
    if not row.get("onset"):
        return f"{reason}."
    text = f"It began about {clock(moment(row['onset']), now)}"
    if detail.get("earliest") and detail.get("latest") and detail["earliest"] != detail["latest"]:
        text += f" (95 %: {clock(moment(detail['earliest']), now)} to {clock(moment(detail['latest']), now)})"
    return f"{text}: {detail['reason']}."


def number(value: float | None) -> str:
    """A figure of a column, whatever its size."""
    if value is None:
        return "\u2013"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
