"""One conversation as a story, from what the control process answers: what became of it first, then everything in its order. Pure.

Times of day become times since the beginning, because that is how somebody reads a conversation. What the log does not say is not told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer
from dashboards.conversation.words import (
    ASSIGNED,
    BY_RULE,
    JUDGED,
    NOT_ELIGIBLE,
    REASONS,
    STEPS,
    humanised,
    known,
    said,
    score_text,
    share_text,
    sources,
    took_text,
    usd,
)
from dashboards.words import duration

Chip = tuple[str, str]  # text, tone
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of a detail table: what, what it said, how long it took, what it cost, and its tone."""

    what: str
    result: str
    took: str = ""
    cost: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Moment:
    """One thing that happened, `at` since the beginning (None: the log has no time). A turn has `question` and `answer`, others a text."""

    at: timedelta | None
    title: str
    text: str = ""
    question: str | None = None
    answer: str | None = None
    meta: str = ""
    chips: tuple[Chip, ...] = ()
    sources: tuple[str, ...] = ()
    details: tuple[Line, ...] = ()
    tone: str = QUIET


@dataclass(frozen=True)
class Story:
    """What the page shows: the answer first, facts beside it, the moments in time, and what was left out because it was too long."""

    answer: Answer
    facts: tuple[tuple[str, str], ...]
    moments: tuple[Moment, ...]
    cut: tuple[str, ...]


def story(found: Mapping[str, Any], baseline: str) -> Story:
    """The story of an answer of `conversation_read` that has a head. `baseline`: how the baseline is called."""
    head = found["head"]
    start = moment_of(head["started_at"])
    name = "assistant" if head["arm"] == "assistant" else baseline if head["arm"] == "baseline" else "unknown arm"
    turns = [_turn(row, found, start, name) for row in found["turns"]]
    moments = [
        *_exposed(found["exposures"], start, baseline),
        *turns,
        *_loose(found, start),
        *_afterwards(found, start),
    ]
    ordered = sorted(enumerate(moments), key=lambda pair: (pair[1].at is None, pair[1].at or timedelta(0), pair[0]))
    return Story(
        answer=_answer(head, found, name),
        facts=_facts(head, found),
        moments=tuple(moment for _, moment in ordered),
        cut=tuple(found.get("cut", ())),
    )


def moment_of(value: str | None) -> datetime | None:
    """An aware UTC time from the answer's text."""
    return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


def after(at: timedelta | None) -> str:
    """`at the start`, `14 s`, `2 d 3 h`."""
    return "" if at is None else "start" if at < timedelta(seconds=0.5) else f"+{duration(at)}"


def _answer(head: Row, found: Mapping[str, Any], name: str) -> Answer:
    """What became of it; what went wrong on the way comes before how it ended."""
    outcome, tone = _outcome(head, name)
    wrong = _wrong(found)
    rated = f"The customer rated it {head['csat']:g} of 5." if head["csat"] is not None else "It was not rated."
    back = " The customer wrote again later." if head["returned_at"] else ""
    if wrong:
        return Answer(
            wrong[0][0], f"{' '.join([*(text for text, _ in wrong[1:]), outcome])} {rated}{back}", wrong[0][1]
        )
    return Answer(outcome, f"{rated}{back}", tone)


def _outcome(head: Row, name: str) -> tuple[str, str]:
    start = moment_of(head["started_at"])
    if head["escalated"]:
        when = _since(head["escalated_at"], start)
        took = "" if when is None else f" after {duration(when)}"
        reason = REASONS.get(head["escalation_reason"] or "", humanised(head["escalation_reason"]).lower())
        if head["escalation_reason"] == "mandatory_category" and head["safety_route"]:
            reason = f"{humanised(head['safety_route']).lower()} always goes to a person"
        tone = BAD if head["escalation_reason"] == "failure" else GOOD if head["safety_route"] else WAIT
        return f"Handed to a person{took}{': ' + reason if reason else ''}.", tone
    if head["resolved"]:
        took_in = _since(head["resolved_at"], start)
        in_time = "" if took_in is None else f" in {duration(took_in)}"
        return f"Resolved by the {name}{in_time}, without a person.", GOOD
    if head["resolved"] is False:
        return f"Not resolved by the {name}.", BAD
    return f"Served by the {name}; nobody has told whether it was resolved.", QUIET


def _wrong(found: Mapping[str, Any]) -> list[Chip]:
    """What went wrong, worst first: sentence and tone."""
    steps = [_step(row, "groundedness") for row in found["turns"]]
    judged = {row["interaction_id"] for row in found["judgements"] if (row["name"], row["label"]) == UNGROUNDED}
    loose = sum(
        verdict == "ungrounded" or row["interaction_id"] in judged
        for row, verdict in zip(found["turns"], steps, strict=True)
    )
    wrong: list[Chip] = []
    if who := _misrouted(found["judgements"]):
        wrong.append((f"A {who} found that this should have gone to a person sooner.", BAD))
    if loose:
        answers = "An answer was" if loose == 1 else f"{loose} answers were"
        wrong.append((f"{answers} not backed by the sources.", BAD))
    failed = sum(bool(row["error_type"] or row["timed_out"]) for row in found["turns"])
    if failed:
        wrong.append((f"{failed} of {len(found['turns'])} turns failed or timed out.", BAD))
    missed = sum(_missed(row, found["judgements"]) for row in found["turns"])
    if missed:
        wrong.append((f"The question was misunderstood in {missed} of {len(found['turns'])} turns.", WAIT))
    return wrong


UNGROUNDED = ("groundedness", "ungrounded")


def _misrouted(judgements: Sequence[Row]) -> str:
    """Who says that it should have gone to a person: "person" before "detector"; "" where nobody does."""
    by = [str(row["evaluator"]) for row in judgements if (row["name"], row["label"]) == ("safety_route", "misrouted")]
    return "" if not by else "person" if any(who.startswith("human:") for who in by) else "detector"


def _missed(turn: Row, judgements: Sequence[Row]) -> bool:
    """Whether somebody named another intent than was predicted; a person's word before the log's own."""
    told = [row for row in judgements if _of(row, turn) and row["name"] == "intent_true" and row["label"]]
    people = [row["label"] for row in told if str(row["evaluator"]).startswith("human:")]
    truth = people[-1] if people else turn["intent_true"]
    return bool(truth and turn["intent_pred"] and truth != turn["intent_pred"])


def _of(judgement: Row, turn: Row) -> bool:
    return bool(judgement["interaction_id"] == turn["interaction_id"])


def _facts(head: Row, found: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    start = moment_of(head["started_at"])
    eligible = (
        "took part"
        if head["eligible"]
        else NOT_ELIGIBLE.get(
            head["ineligible_reason"] or "", f"left out: {humanised(head['ineligible_reason']).lower()}"
        )
    )
    tokens = (head["tokens_in"] or 0) + (head["tokens_out"] or 0)
    rows = (
        ("Began", "time unknown" if start is None else f"{start:%Y-%m-%d %H:%M:%S} UTC"),
        ("Release", " \u00b7 ".join(part for part in (head["release"], head["phase"]) if part) or "unknown"),
        ("Comparison", eligible if head["eligible"] is not None else "unknown"),
        ("Subject", humanised(head["intent_first"]) or "unknown"),
        (
            "Customer",
            " \u00b7 ".join(part for part in (head["segment"], head["region"], head["channel"]) if part) or "unknown",
        ),
        ("Length and cost", f"{_turns(head['turns'])} \u00b7 {tokens:,} tokens \u00b7 {usd(head['cost_usd'])}"),
    )
    return rows


def _turns(count: int) -> str:
    return f"{count} turn{'' if count == 1 else 's'}"


def _exposed(rows: Sequence[Row], start: datetime | None, baseline: str) -> list[Moment]:
    found = []
    for row in rows:
        arm = baseline if row["arm"] == "baseline" else row["arm"] or "unknown arm"
        share = "" if row["share"] is None else f" at {share_text(row['share'])} of its audience"
        release = f", release {row['release']}" if row["release"] else ""
        why = ASSIGNED.get(row["reason"] or "", humanised(row["reason"]).lower())
        phase = f" in the phase {row['phase']}" if row["phase"] else ""
        text = f"{phase.strip().capitalize()}{share}{release}{'; ' + why if why else ''}.".lstrip(", ")
        if row["eligible"] is False:
            left = NOT_ELIGIBLE.get(row["ineligible_reason"] or "", humanised(row["ineligible_reason"]).lower())
            text += f" Not part of the comparison: {left}."
        at = _since(row["ts"], start)
        found.append(Moment(at, f"Given to the {arm}", text[:1].upper() + text[1:]))
    return found


def _turn(row: Row, found: Mapping[str, Any], start: datetime | None, name: str) -> Moment:
    calls = [one for one in found["calls"] if one["interaction_id"] == row["interaction_id"]]
    runs = [one for one in found["workflows"] if one["interaction_id"] == row["interaction_id"]]
    judged = [one for one in found["judgements"] if one["interaction_id"] == row["interaction_id"]]
    chips = _chips(row, judged)
    worst = next((tone for tone in (BAD, WAIT) if any(chip[1] == tone for chip in chips)), QUIET)
    return Moment(
        at=_since(row["ts"], start),
        title=name.capitalize(),
        question=row["question"] or "",
        answer=row["answer"] or "",
        meta=_meta(row),
        chips=chips,
        sources=sources(row["sources"]),
        details=(*_steps(row), *map(_call, calls), *map(_run, runs), *(_judgement(one, row) for one in judged)),
        tone=worst,
    )


def _chips(row: Row, judged: Sequence[Row]) -> tuple[Chip, ...]:
    found: list[Chip] = []
    if row["timed_out"]:
        found.append(("Timed out", BAD))
    elif row["error_type"]:
        found.append((f"Failed: {humanised(row['error_type']).lower()}", BAD))
    labels = {(one["name"], one["label"]) for one in judged}
    if row["escalated"]:
        found.append(("Handed to a person", GOOD if row["safety_route"] else WAIT))
    if who := _misrouted(judged):
        found.append((f"Wrong route, says a {who}", BAD))
    if _step(row, "groundedness") == "ungrounded" or UNGROUNDED in labels:
        found.append(("Not backed by its sources", BAD))
    elif _step(row, "groundedness") == "grounded" or ("groundedness", "grounded") in labels:
        found.append(("Backed by its sources", GOOD))
    if _missed(row, judged):
        found.append(("Misunderstood", WAIT))
    if row["safety_route"]:
        found.append((f"Safety: {humanised(row['safety_route']).lower()}", QUIET))
    return tuple(found)


def _meta(row: Row) -> str:
    """Understood as what, how fast, how dear: the figures of a turn in one line."""
    parts = []
    if row["intent_pred"]:
        sure = "" if row["intent_conf"] is None else f" ({share_text(row['intent_conf'])} sure)"
        parts.append(f"understood as {humanised(row['intent_pred']).lower()}{sure}")
    if row["workflow"]:
        parts.append(f"workflow {humanised(row['workflow']).lower()}")
    if row["latency_ms"] is not None:
        parts.append(took_text(row["latency_ms"]))
    if (row["tokens_in"] or 0) + (row["tokens_out"] or 0) > 0:
        parts.append(f"{known(row['tokens_in'])} + {known(row['tokens_out'])} tokens")
        parts.append(usd(row["cost_usd"]))
    return " \u00b7 ".join(parts)


def _extra(row: Row) -> Mapping[str, Any]:
    try:
        found = json.loads(row["extra"] or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _step_rows(row: Row) -> list[Mapping[str, Any]]:
    steps = _extra(row).get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _step(row: Row, name: str) -> str | None:
    """The verdict of a step; None where it was not made or not logged."""
    return next((str(step.get("verdict")) for step in _step_rows(row) if step.get("step") == name), None)


def _steps(row: Row) -> list[Line]:
    """The assistant's own steps with their verdicts, as logged."""
    found = []
    for step in _step_rows(row):
        name, verdict, action = (str(step.get(key) or "") for key in ("step", "verdict", "action"))
        score = step.get("score")
        figure = f" ({score_text(score)})" if isinstance(score, int | float) and not isinstance(score, bool) else ""
        reason = f", {str(step['reason']).replace('_', ' ')}" if step.get("reason") else ""
        tone = (
            BAD if verdict == "ungrounded" or action == "block" else WAIT if action in ("hand_over", "decline") else ""
        )
        what = STEPS.get(name, humanised(name))
        found.append(Line(what, f"{humanised(verdict)}{figure}{reason}", tone=tone))
    return found


def _call(row: Row) -> Line:
    kind = "Model" if row["kind"] == "model" else "System"
    failed = row["timed_out"] or row["error_type"]
    result = (
        "timed out" if row["timed_out"] else humanised(row["error_type"]).lower() if row["error_type"] else "answered"
    )
    tokens = ""
    if row["tokens_in"] is not None or row["tokens_out"] is not None:
        cached = f", {row['tokens_cached']:,} of them cached" if row["tokens_cached"] else ""
        tokens = f": {row['tokens_in'] or 0:,} tokens in{cached}, {row['tokens_out'] or 0:,} out"
    cost = "" if row["kind"] != "model" else usd(row["cost_usd"])
    return Line(f"{kind} {row['name']}", f"{result}{tokens}", took_text(row["latency_ms"]), cost, BAD if failed else "")


def _run(row: Row) -> Line:
    error = f": {humanised(row['error_type']).lower()}" if row["error_type"] else ""
    tone = BAD if row["error_type"] else ""
    return Line(
        f"Workflow {humanised(row['workflow']).lower()}", f"{humanised(row['status']).lower()}{error}", tone=tone
    )


def _judgement(row: Row, turn: Row | None = None) -> Line:
    """What a detector or a person said, and for an intent whether it was the predicted one."""
    person = str(row["evaluator"] or "").startswith("human:")
    who = "Reviewer" if person else "Detector"
    label = humanised(row["label"]) if row["label"] else "" if row["score"] is None else score_text(row["score"])
    score = f" ({score_text(row['score'])})" if row["label"] and row["score"] is not None else ""
    tone = BAD if row["label"] in ("ungrounded", "misrouted") else ""
    match = ""
    if turn is not None and row["name"] == "intent_true" and row["label"] and turn["intent_pred"]:
        same = row["label"] == turn["intent_pred"]
        match, tone = (", as predicted", "") if same else (f", not {humanised(turn['intent_pred']).lower()}", WAIT)
    how = "" if row["sampling_rate"] is None else f" \u00b7 drawn at {share_text(row['sampling_rate'])}"
    picked = " \u00b7 picked for a reason" if row["targeted"] else how
    return Line(
        f"{who}: {JUDGED.get(row['name'], humanised(row['name']).lower())}", f"{label}{score}{match}{picked}", tone=tone
    )


def _loose(found: Mapping[str, Any], start: datetime | None) -> list[Moment]:
    """What names no turn, or one that is not there: told where the first of it happened, so that nothing that was logged is left out."""
    turns = {row["interaction_id"] for row in found["turns"]}
    named = [row for row in found["judgements"] if row["interaction_id"] is not None]
    parts = ((found["calls"], _call), (found["workflows"], _run), (named, _judgement))
    rows = [(row, line) for part, line in parts for row in part if row["interaction_id"] not in turns]
    if not rows:
        return []
    title = "Of turns that are not shown" if "turns" in found.get("cut", ()) else "Logged without a turn"
    first = min((row["ts"] for row, _ in rows if row.get("ts")), default=None)
    return [Moment(_since(first, start), title, details=tuple(line(row) for row, line in rows))]


def _afterwards(found: Mapping[str, Any], start: datetime | None) -> list[Moment]:
    """Hand-over, what the customer said, what was judged of the whole conversation, and whether the customer came back."""
    head, moments = found["head"], []
    if head["escalated"]:
        reason = head["escalation_reason"] or ""
        text = BY_RULE.get(reason, REASONS.get(reason, humanised(reason).lower()))
        text = f"{text[:1].upper()}{text[1:]}." if text else "No reason was logged."
        moments.append(Moment(_since(head["escalated_at"], start), "Handed to a person", text, tone=WAIT))
    for row in found["feedback"]:
        rated = "" if row["csat"] is None else f"{row['csat']:g} of 5"
        solved = "" if row["resolved"] is None else "resolved" if row["resolved"] else "not resolved"
        tone = QUIET if row["csat"] is None else GOOD if row["csat"] >= 4 else BAD if row["csat"] <= 2 else WAIT
        chips = ((rated, tone),) if rated else ()
        text = said(row["comment"]) if row["comment"] else "No comment."
        title = f"The customer answered{': ' + solved if solved else ''}"
        moments.append(Moment(_since(row["ts"], start), title, text, chips=chips, tone=tone))
    whole = [row for row in found["judgements"] if row["interaction_id"] is None]
    moments += [Moment(_since(row["ts"], start), "Judged as a whole", details=(_judgement(row),)) for row in whole]
    if head["returned_at"]:
        moments.append(
            Moment(_since(head["returned_at"], start), "The customer wrote again", "In another conversation.")
        )
    return [replace(one, at=None) if one.at is not None and one.at < timedelta(0) else one for one in moments]


def _since(value: str | None, start: datetime | None) -> timedelta | None:
    found = moment_of(value)
    return None if found is None or start is None else found - start
