"""One conversation as a story: what became of it first, everything in its order, texts escaped; and what went wrong, counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dashboards.conversation import html as conversation_html
from dashboards.conversation.list import counts, items
from dashboards.conversation.story import Moment, after, story
from dashboards.conversation.words import humanised, share_text, usd

EVIL = "<img src=x onerror=alert(1)>"
HEAD = dict.fromkeys((
    "customer", "release", "phase", "rollout_id", "segment", "region", "channel", "eligible", "ineligible_reason",
    "intent_first", "last_at", "escalated_at", "escalation_reason", "resolved", "resolved_at", "csat",
    "csat_at", "returned_at", "safety_route", "workflow", "tokens_in", "tokens_out", "cost_usd",
))  # fmt: skip
TURN = dict.fromkeys((
    "model", "agent_version", "intent_pred", "intent_true", "intent_conf", "latency_ms", "tokens_in",
    "tokens_cached", "tokens_out", "cost_usd", "escalated", "escalation_reason", "error_type", "timed_out",
    "safety_route", "workflow", "question", "answer", "sources", "extra",
))  # fmt: skip
PARTS = ("turns", "exposures", "calls", "workflows", "judgements", "feedback")


def at(seconds: float) -> str:
    return (datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()


def turn(number: int, second: float, *steps: tuple[str, str], **more: Any) -> dict[str, Any]:
    made = {"extra": json.dumps({"steps": [{"step": a, "verdict": b, "score": 0.5} for a, b in steps]})}
    return {**TURN, **made, "interaction_id": f"a:{number}", "turn": number, "ts": at(second), **more}


def judged(name: str, label: str, turn_id: str | None = "a:1", **more: Any) -> dict[str, Any]:
    row = {
        "interaction_id": turn_id,
        "name": name,
        "label": label,
        "score": None,
        "evaluator": "human:r",
        "sampling_rate": 0.15,
    }
    return {**row, "ts": at(90), "targeted": False, **more}


def asked(head: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    begun = {"conversation_id": "a", "arm": "assistant", "turns": 1, "escalated": False, "started_at": at(0)}
    return {"head": {**HEAD, **begun, **(head or {})}, **{name: [] for name in PARTS}, "cut": [], **parts}


@pytest.mark.parametrize(
    ("head", "said", "tone"),
    [
        (
            {"resolved": True, "resolved_at": at(50), "csat": 4.0},
            "Resolved by the assistant in 50 s, without a person.",
            "good",
        ),
        ({"resolved": True, "arm": "baseline"}, "Resolved by the menu, without a person.", "good"),
        ({"resolved": False}, "Not resolved by the assistant.", "bad"),
        ({}, "Served by the assistant; nobody has told whether it was resolved.", "quiet"),
        (
            {
                "escalated": True,
                "escalated_at": at(26),
                "escalation_reason": "mandatory_category",
                "safety_route": "fraud",
            },
            "Handed to a person after 26 s: fraud always goes to a person.",
            "good",
        ),
        ({"escalated": True, "escalation_reason": "failure"}, "Handed to a person: the assistant failed.", "bad"),
        ({"escalated": True, "escalation_reason": "new_reason"}, "Handed to a person: new reason.", "wait"),
        ({"escalated": True}, "Handed to a person.", "wait"),
    ],
)
def test_the_answer_says_how_it_ended(head: dict[str, Any], said: str, tone: str) -> None:
    told = story(asked(head), "menu").answer
    assert (told.headline, told.tone) == (said, tone)
    assert ("rated it 4 of 5" if head.get("csat") else "It was not rated.") in told.sentence


def test_what_went_wrong_comes_before_how_it_ended_worst_first() -> None:
    turns = [turn(1, 0, ("groundedness", "ungrounded"), intent_pred="fees"), turn(2, 9, timed_out=True)]
    told = story(
        asked({"resolved": True, "returned_at": at(99)}, turns=turns, judgements=[judged("intent_true", "balance")]),
        "menu",
    )
    assert told.answer.headline == "An answer was not backed by the sources."
    for words in (
        "1 of 2 turns failed or timed out",
        "misunderstood in 1 of 2",
        "Resolved by the assistant",
        "wrote again later",
    ):
        assert words in told.answer.sentence
    worse = story(asked(turns=turns, judgements=[judged("safety_route", "misrouted")]), "menu")
    assert worse.answer.headline == "A person found that this should have gone to a person sooner."


def test_a_person_outranks_the_intent_of_the_log_and_a_judge_the_assistants_own_check() -> None:
    turns = [turn(1, 0, ("groundedness", "grounded"), intent_pred="fees", intent_true="balance")]
    right = story(asked(turns=turns, judgements=[judged("intent_true", "fees")]), "menu")
    assert "isunderstood" not in right.answer.headline
    assert ("Backed by its sources", "good") in right.moments[0].chips
    loose = story(asked(turns=turns, judgements=[judged("groundedness", "ungrounded")]), "menu")
    assert loose.answer.headline == "An answer was not backed by the sources."
    assert "misunderstood" in story(asked(turns=turns), "menu").answer.headline


def full() -> dict[str, Any]:
    calls = [
        {
            "interaction_id": "a:1",
            "kind": "model",
            "name": "large",
            "tokens_in": 300,
            "tokens_cached": 100,
            "tokens_out": 20,
            "cost_usd": 0.01,
        }
        | {"latency_ms": 1639.1, "error_type": None, "timed_out": False},
        {
            "interaction_id": "a:1",
            "kind": "dependency",
            "name": "bank",
            "tokens_in": None,
            "tokens_cached": None,
            "tokens_out": None,
        }
        | {"latency_ms": 58.9, "error_type": "service_error", "timed_out": False, "cost_usd": None},
    ]
    exposure = {
        "ts": at(0),
        "arm": "assistant",
        "reason": "SPLIT",
        "release": "v1",
        "phase": "canary",
        "share": 0.05,
        "eligible": False,
    }
    one = turn(
        1,
        0.2,
        ("safety", "clear"),
        question=EVIL,
        answer="Yes.\nNo.",
        sources='["fees"]',
        intent_pred="pin_reset",
        intent_conf=0.9999,
    )
    return asked(
        {
            "escalated": True,
            "escalated_at": at(30),
            "escalation_reason": "agent_request",
            "tokens_in": 300,
            "tokens_out": 20,
            "cost_usd": None,
        },
        turns=[{**one, "latency_ms": 1700.0, "tokens_in": 300, "tokens_out": 20, "workflow": "pin"}],
        exposures=[{**exposure, "ineligible_reason": "not_low_risk"}],
        calls=calls,
        workflows=[
            {"interaction_id": "a:1", "workflow": "pin_reset", "status": "completed", "error_type": None, "slots": "{}"}
        ],
        judgements=[
            judged("groundedness", "grounded", score=0.98, evaluator="detector:x"),
            judged("safety_route", "ok", None, targeted=True),
        ],
        feedback=[{"ts": at(185), "csat": 2.0, "resolved": False, "comment": EVIL}],
        cut=["turns"],
    )


def test_everything_stands_in_its_order_with_the_time_since_the_beginning() -> None:
    told = story(full(), "menu")
    assert [(after(one.at), one.title) for one in told.moments] == [
        ("start", "Given to the assistant"),
        ("start", "Assistant"),
        ("+30 s", "Handed to a person"),
        ("+1 min 30 s", "Judged as a whole"),
        ("+3 min 5 s", "The customer answered: not resolved"),
    ]
    given, one = told.moments[:2]
    assert given.text == (
        "In the phase canary at 5 % of its audience, release v1; chosen by the random split."
        " Not part of the comparison: its subject is not among the low-risk ones."
    )
    assert (
        one.meta
        == "understood as pin reset (over 99.9 % sure) \u00b7 workflow pin \u00b7 1.7 s \u00b7 300 + 20 tokens \u00b7 price unknown"
    )
    assert [(line.what, line.result, line.took, line.cost) for line in one.details] == [
        ("Safety check", "Clear (0.50)", "", ""),
        ("Model large", "answered: 300 tokens in, 100 of them cached, 20 out", "1.6 s", "$0.0100"),
        ("System bank", "service error", "59 ms", ""),
        ("Workflow pin reset", "completed", "", ""),
        ("Detector: backed by sources", "Grounded (0.98) \u00b7 drawn at 15 %", "", ""),
    ]
    assert told.moments[3].details[0].result == "Ok \u00b7 picked for a reason"
    assert dict(told.facts)["Length and cost"] == "1 turn \u00b7 320 tokens \u00b7 price unknown"
    assert told.cut == ("turns",)


def test_words_of_customers_are_never_markup() -> None:
    told = story(full(), "menu")
    page = conversation_html.moments(told, "Assistant") + conversation_html.facts(told)
    assert EVIL not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 2
    assert "Yes.<br>No." in page
    assert "How this answer was made: 5 steps" in page


def test_what_the_log_does_not_say_is_not_told() -> None:
    """History without times, without texts, with extra fields of another producer."""
    bare = {**turn(1, 0), "ts": None, "extra": "no json", "sources": "a page", "escalated": False}
    told = story(
        asked({"started_at": None, "eligible": None}, turns=[bare, {**bare, "extra": '["x"]', "sources": None}]), "menu"
    )
    assert [one.at for one in told.moments] == [None, None]
    assert told.moments[0].sources == ("a page",)
    assert dict(told.facts)["Began"] == "time unknown"
    assert dict(told.facts)["Comparison"] == "unknown"
    assert conversation_html.NOTHING_SAID in conversation_html.moments(told, "Assistant")
    assert "<details>" not in conversation_html.moments(told, "Assistant")


def test_what_names_no_turn_is_told_as_well() -> None:
    """Calls that name no turn, a judgement of one that is not there, tokens of one side only; a detector is no person."""
    (model, bank), (run,) = full()["calls"], full()["workflows"]
    found = asked(
        turns=[turn(1, 0, tokens_out=20, intent_pred="fees", intent_true="balance")],
        calls=[{**model, "ts": at(9), "interaction_id": None}, {**bank, "ts": at(7), "interaction_id": "gone"}],
        workflows=[{**run, "ts": None, "interaction_id": None}],
        judgements=[
            judged("safety_route", "misrouted", "gone", evaluator="detector:x"),
            judged("intent_true", "fees", evaluator="detector:x"),
        ],
    )
    told = story(found, "menu")
    assert "unknown + 20 tokens" in told.moments[0].meta
    assert (told.moments[1].title, after(told.moments[1].at)) == ("Logged without a turn", "+7 s")
    assert [line.what for line in told.moments[1].details] == [
        *("Model large", "System bank", "Workflow pin reset", "Detector: route")
    ]
    assert told.answer.headline == "A detector found that this should have gone to a person sooner."
    assert "misunderstood in 1 of 1" in told.answer.sentence, "the log's word, as no person spoke"
    assert story({**found, "cut": ["turns"]}, "menu").moments[1].title == "Of turns that are not shown"


def test_a_time_before_the_beginning_is_no_time() -> None:
    found = asked(feedback=[{"ts": at(-5), "csat": None, "resolved": None, "comment": None}])
    assert story(found, "menu").moments == (Moment(None, "The customer answered", "No comment."),)


def test_small_words() -> None:
    assert [share_text(value) for value in (0, 0.004, 0.05, 0.998, 0.9999, 1)] == [
        "0 %",
        "0.4 %",
        "5 %",
        "99.8 %",
        "over 99.9 %",
        "100 %",
    ]
    assert [usd(value) for value in (None, 0.0, 0.0000692)] == ["price unknown", "$0", "$0.0000692"]
    assert (humanised(None), humanised("card_lost")) == ("", "Card lost")


def test_counts_say_of_how_many_and_how_sure() -> None:
    rows = [("escalation_rate", 100, 13), ("resolution_rate", 50, 40), ("hallucination_rate", 0, 0)]
    found = counts(pl.DataFrame(rows, schema=["metric", "n", "x"], orient="row"))
    assert (found["escalated"].x, found["escalated"].n, found["escalated"].share) == (13, 100, "13 % (8 % to 21 %)")
    assert found["unresolved"].x == 10  # the rollup counts what went well
    assert (found["ungrounded"].n, found["ungrounded"].share, found["misrouted"].n) == (0, "", 0)


@pytest.mark.parametrize(
    ("kind", "detail", "mark"),
    [
        ("escalated", "failure", "the assistant failed"),
        ("misunderstood", "fees > pin_reset", "taken for fees, was pin reset"),
        ("low_csat", "2.0", "rated 2 of 5"),
        ("failed", "knowledge_service_error", "knowledge service error"),
        ("any", None, ""),
    ],
)
def test_a_line_of_the_list_says_what_went_wrong(kind: str, detail: str | None, mark: str) -> None:
    row = {
        "conversation_id": "a",
        "started_at": at(0),
        "arm": "baseline",
        "release": "v1",
        "phase": None,
        "intent": "fees",
        "turns": 2,
    }
    (item,) = items(
        [{**row, "csat": 2.0, "cost_usd": 0.0, "detail": detail}], kind, "menu", datetime(2026, 1, 5, 12, tzinfo=UTC)
    )
    assert (item.title, item.mark) == ("09:00 UTC \u00b7 Fees", mark)
    assert item.rest == "menu \u00b7 v1 \u00b7 2 turns \u00b7 rated 2 of 5 \u00b7 $0"
