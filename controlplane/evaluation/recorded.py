"""Outcomes of an assistant that we cannot run: from the interaction records of what it answered to the rows of a data set.

The records are the flat ones of docs/reference/records.md; `conversation_id` is the row's id. A row without a record counts as failed in
every rate: whoever leaves out the hard rows must not look better. Of a `goal` the operations that a record's `extra` names under `operations`
([[kind, detail], ...]) are compared, and the last `address` there where the goal has one; without those keys the goal is unknown and the row
is not counted as resolved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from controlplane.core.masking import mask
from controlplane.evaluation.cases import NO_ROUTE, Case, CaseError
from controlplane.evaluation.runner import Judges, Outcome, all_said, what_is_wrong

Record = Mapping[str, Any]
NUMBERS = ("turn", "intent_conf", "latency_ms", "cost_usd")
NO_RECORD = "there is no record of this row"


def recorded_outcomes(cases: Sequence[Case], records: Sequence[Record], judges: Judges) -> Iterator[Outcome]:
    """The outcomes in the order of the cases, of records that `check_records` lets pass.

    Groundedness is taken from the record (`grounded`: true or false) where a judge of the assistant's own gave it: what the answers rest on is
    not ours to know.
    """
    turns = _by_row(records)
    for case in cases:
        yield _outcome(case, sorted(turns.get(case.id, []), key=_turn), judges)


def check_records(cases: Sequence[Case], records: Sequence[Record]) -> None:
    """Raises CaseError where a record cannot be used, or none belongs to any row."""
    turns = _by_row(records)
    if not set(turns) & {case.id for case in cases}:
        raise CaseError(
            "no record belongs to a row of the data set: conversation_id must be the row's id (`controlplane dataset export` shows them)"
        )
    for record in (record for found in turns.values() for record in found):
        for key in NUMBERS:
            _number(record, key)
        _operations(record)
    for key, found in turns.items():
        numbers = [_number(record, "turn") for record in found if record.get("turn") not in (None, "")]
        if len(set(numbers)) < len(numbers):
            raise CaseError(
                f"records of {key}: a turn stands there twice: keep the record of the answer that was given"
            )


def _by_row(records: Sequence[Record]) -> dict[str, list[Record]]:
    turns: dict[str, list[Record]] = {}
    for number, record in enumerate(records, start=1):
        if record.get("record") not in (None, "interaction"):
            continue
        key = record.get("conversation_id")
        if not isinstance(key, str) or not key:
            raise CaseError(f"record {number}: conversation_id {key!r} must be the id of a row")
        turns.setdefault(key, []).append(record)
    return turns


def _turn(record: Record) -> float:
    return float(_number(record, "turn") or 0.0)


def _outcome(case: Case, turns: Sequence[Record], judges: Judges) -> Outcome:
    slices = {**case.slices, "origin": case.slice("origin") or ""}
    if not turns:
        return Outcome(
            id=case.id,
            slices=slices,
            intent_correct=None if case.expected_intent is None else False,
            resolved=None if case.goal is None and not case.facts else False,
            hallucinated=True,
            toxic=None if judges.toxic is None else True,
            misrouted=True if case.must_reach_person else None,
            over_routed=True if case.mandatory_route == NO_ROUTE else None,
            rejected=False if case.out_of_scope else None,
            escalated=True,
            errors=1,
            wrong=(NO_RECORD,),
        )
    first = turns[0]
    said = [str(record.get("answer") or "") for record in turns]
    grounded = [record["grounded"] for record in turns if isinstance(record.get("grounded"), bool)]
    costs = [cost for record in turns if (cost := _number(record, "cost_usd")) is not None]
    escalated = [_flag(record, "escalated") for record in turns]
    routed = case.mandatory_route
    found = Outcome(
        id=case.id,
        slices=slices,
        intent_correct=None if case.expected_intent is None else first.get("intent_pred") == case.expected_intent,
        confidence=None if case.expected_intent is None else _number(first, "intent_conf"),
        resolved=_resolved(case, turns, said),
        hallucinated=not all(grounded) if grounded else None,
        toxic=None if judges.toxic is None else any(judges.toxic(text) for text in said),
        misrouted=not escalated[0] if case.must_reach_person else None,
        over_routed=escalated[0] and bool(first.get("safety_route")) if routed == NO_ROUTE else None,
        rejected=_flag(first, "rejected") or not any(said) if case.out_of_scope else None,
        escalated=any(escalated),
        errors=sum(bool(record.get("error_type")) for record in turns),
        latencies=tuple(value for record in turns if (value := _number(record, "latency_ms")) is not None),
        cost=sum(costs) if costs else None,
        said=tuple(mask(text) for text in said),
    )
    intent = first.get("intent_pred")
    return replace(found, wrong=what_is_wrong(case, found, None if intent is None else str(intent)))


def _resolved(case: Case, turns: Sequence[Record], said: Sequence[str]) -> bool | None:
    if case.goal is None and not case.facts:
        return None
    if case.goal is not None:
        named = [found for record in turns if (found := _operations(record)) is not None]
        done = [item for found in named for item in found]
        wanted = case.goal.operations
        same = len(done) == len(wanted) and all(
            have[0] == kind and detail in (None, have[1]) for have, (kind, detail) in zip(done, wanted, strict=True)
        )
        if not named or not same:
            return False
        addresses = [str(value["address"]) for record in turns if (value := _extra(record)).get("address") is not None]
        if case.goal.address is not None and mask(addresses[-1] if addresses else "") != case.goal.address:
            return False
    return all_said(" ".join(said), case)


def _operations(record: Record) -> list[tuple[str, str]] | None:
    """What a record says was done at the bank; None where it says nothing of it. Raises CaseError for what cannot be read as such."""
    raw = _extra(record).get("operations")
    if raw is None:
        return None
    if not isinstance(raw, list) or not all(isinstance(item, list) and len(item) == 2 for item in raw):
        raise CaseError(
            f'record of {record.get("conversation_id")}: operations {raw!r} must be pairs, such as [["block_card", "debit"]]'
        )
    return [(str(kind), mask(str(detail))) for kind, detail in raw]


def _extra(record: Record) -> Mapping[str, Any]:
    value = record.get("extra")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _number(record: Record, key: str) -> float | None:
    value = record.get(key)
    if value in (None, ""):
        return None
    try:
        number = float(str(value))
    except ValueError:
        raise CaseError(f"record of {record.get('conversation_id')}: {key} {value!r} is no number") from None
    most = 1.0 if key == "intent_conf" else float("inf")
    if not isfinite(number) or not 0.0 <= number <= most:
        bounds = "from 0 to 1" if key == "intent_conf" else "that is finite and not negative"
        raise CaseError(f"record of {record.get('conversation_id')}: {key} {value!r} must be a number {bounds}")
    return number


def _flag(record: Record, key: str) -> bool:
    return record.get(key) in (True, 1, "true", "True", "1")
