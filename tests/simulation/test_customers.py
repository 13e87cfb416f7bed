"""How customers react: by what they were really answered, and by nothing else."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields, replace

import pytest

from controlplane.assistant.model import EscalationReason, Reply, ReplyKind, WorkflowStatus
from controlplane.simulation.customers import (
    NO,
    PERSON_REQUESTS,
    YES,
    Customer,
    Ending,
    Memory,
    Outcome,
    draw_customer,
    judge,
    open_conversation,
    rating,
    react,
)
from controlplane.simulation.needs import Need, all_needs

NEEDS = {need.name: need for need in all_needs()}
PATIENT = Customer("u1", "new", "north", "app", False, patience=5.0, trust=0.0, sloppiness=0.0, bias=0.0)
ON_SUBJECT = "Your refund is handled with care."


def reply(kind: ReplyKind, text: str = "", **changes: object) -> Reply:
    values: dict[str, object] = {field.name: None for field in fields(Reply)}
    values |= {
        "interaction_id": "c:1",
        "kind": kind,
        "text": text,
        "model": "m",
        "latency_ms": 900.0,
        "timed_out": False,
    }
    values |= {"escalated": kind is ReplyKind.HANDOVER, "sources": (), "options": (), "steps": ()}
    values |= {"tokens_in": 0, "tokens_cached": 0, "tokens_out": 0, "model_calls": (), "dependency_calls": ()}
    return Reply(**{**values, "workflow_runs": (), "measured_ms": 0.0, **changes})


@pytest.mark.parametrize(
    ("name", "answer", "outcome"),
    [
        ("refund", reply(ReplyKind.ANSWER, "A refund shows 3 to 7 working days after the shop sent it."), Outcome.MET),
        ("refund", reply(ReplyKind.ANSWER, "A refund shows 8 to 9 working days after that."), Outcome.DOUBTFUL),
        ("refund", reply(ReplyKind.ANSWER, "The phone line is open from 8:00 to 20:00."), Outcome.MISSED),
        ("refund", reply(ReplyKind.HANDOVER, "A colleague will help."), Outcome.PERSON),
        ("refund", reply(ReplyKind.ERROR, "Sorry"), Outcome.FAILED),
        ("refund", reply(ReplyKind.DECLINE, "I cannot help with a refund"), Outcome.FAILED),
        ("refund", reply(ReplyKind.MENU, "1. Refunds", options=("Refunds",)), Outcome.ASKED),
        ("fraud", reply(ReplyKind.ANSWER, "Our fraud team answers 24 hours a day."), Outcome.MISSED),
        ("fraud", reply(ReplyKind.HANDOVER, "The fraud team"), Outcome.PERSON),
        (
            "lost_card",
            reply(ReplyKind.DONE, "Done", workflow="card_block_and_replace", workflow_status=WorkflowStatus.COMPLETED),
            Outcome.MET,
        ),
        (
            "refund",
            reply(ReplyKind.DONE, "Done", workflow="card_block_and_replace", workflow_status=WorkflowStatus.COMPLETED),
            Outcome.MISSED,
        ),
    ],
)
def test_a_reply_is_judged_by_what_it_says_and_does(name: str, answer: Reply, outcome: Outcome) -> None:
    assert judge(NEEDS[name], answer) is outcome


def test_the_judgement_does_not_look_at_who_answered() -> None:
    answer = reply(ReplyKind.ANSWER, ON_SUBJECT)
    same = replace(answer, model="menu-1", sources=("refund-times",), grounded=0.1, intent_pred="fraud")
    assert judge(NEEDS["refund"], answer) is judge(NEEDS["refund"], same)
    one, other = (react(PATIENT, NEEDS["refund"], Memory(5.0), r, random.Random(4)) for r in (answer, same))
    assert one == other


def reactions(
    need: Need, answer: Reply, customer: Customer = PATIENT, patience: float = 5.0
) -> list[tuple[Memory, str | None]]:
    return [react(customer, need, Memory(patience), answer, random.Random(i)) for i in range(400)]


def test_a_satisfied_customer_leaves() -> None:
    done = reactions(NEEDS["refund"], reply(ReplyKind.ANSWER, "refund: 3 to 7 working days"))
    assert {(memory.ending, text) for memory, text in done} == {(Ending.HELPED, None)}


def test_who_is_misled_depends_on_trust() -> None:
    def misled(trust: float) -> int:
        customer = replace(PATIENT, trust=trust)
        found = reactions(NEEDS["refund"], reply(ReplyKind.ANSWER, ON_SUBJECT), customer)
        return sum(memory.ending is Ending.MISLED for memory, _ in found)

    assert misled(0.0) == 0
    assert 150 < misled(0.5) < 250
    assert misled(1.0) == 400


def test_after_a_miss_customers_ask_again_or_for_a_person_or_leave() -> None:
    found = reactions(NEEDS["refund"], reply(ReplyKind.ANSWER, "The phone line is open."))
    kinds = Counter("left" if text is None else "person" if text in PERSON_REQUESTS else "again" for _, text in found)
    assert kinds["again"] > kinds["person"] > kinds["left"] > 0
    assert {memory.ending for memory, text in found if text is None} == {Ending.GAVE_UP}
    assert {memory.misses for memory, _ in found} == {1}


def test_without_patience_nobody_asks_again() -> None:
    found = reactions(NEEDS["refund"], reply(ReplyKind.ANSWER, "The phone line is open."), patience=0.5)
    assert all(text is None or text in PERSON_REQUESTS for _, text in found)


def test_slow_answers_cost_patience() -> None:
    slow = reply(ReplyKind.CLARIFY, "Which one?", latency_ms=12_000.0)
    quick = replace(slow, latency_ms=500.0)
    need = NEEDS["refund"]
    after_slow, _ = react(PATIENT, need, Memory(5.0), slow, random.Random(1))
    after_quick, _ = react(PATIENT, need, Memory(5.0), quick, random.Random(1))
    assert after_slow.patience < after_quick.patience - 0.5
    assert after_slow.waited == pytest.approx(12.0)


def test_a_wanted_workflow_is_confirmed_and_another_is_refused() -> None:
    asked = reply(ReplyKind.CONFIRM, "Shall I?", workflow="statement_copy", workflow_status=WorkflowStatus.STARTED)
    assert {text for _, text in reactions(NEEDS["statement"], asked)} <= set(YES)
    assert {text for _, text in reactions(NEEDS["refund"], asked)} <= set(NO)


def test_a_detail_that_is_asked_for_is_told_once() -> None:
    asked = reply(ReplyKind.CLARIFY, "Which address?", workflow="address_change")
    memory, text = react(PATIENT, NEEDS["address"], Memory(5.0), asked, random.Random(1))
    assert text == NEEDS["address"].details[0]
    memory, text = react(PATIENT, NEEDS["address"], memory, asked, random.Random(1))
    assert text == NEEDS["address"].details[1]
    memory, text = react(PATIENT, NEEDS["address"], memory, asked, random.Random(1))
    assert text not in NEEDS["address"].details


def choices(need: str, options: tuple[str, ...], memory: Memory | None = None) -> Counter[str]:
    menu = reply(ReplyKind.MENU, "choose", options=options)
    start = memory or Memory(5.0)
    texts = [react(PATIENT, NEEDS[need], start, menu, random.Random(i))[1] for i in range(400)]
    return Counter("person" if text in PERSON_REQUESTS else text or "left" for text in texts)


def test_customers_choose_what_names_their_subject() -> None:
    found = choices("refund", ("Cards", "Transfers", "Refunds", "Talk to an agent"))
    assert found["3"] > 320
    assert 10 < found["person"] < 60


def test_customers_who_asked_for_a_person_choose_the_person() -> None:
    found = choices("refund", ("Refunds", "Talk to an agent"), Memory(5.0, person_requests=1))
    assert found["2"] > 320


def test_nothing_fits_but_something_else() -> None:
    assert choices("refund", ("Your PIN", "Something else"))["2"] > 320


def test_what_was_chosen_in_vain_is_not_chosen_again() -> None:
    found = choices("refund", ("Refunds", "More about refunds"), Memory(5.0, chosen=frozenset({"Refunds"})))
    assert found["1"] < found["2"]
    assert found["1"] == 0


def test_nobody_asks_for_ever() -> None:
    """Whatever is asked, patience ends."""
    for answer in (
        reply(ReplyKind.CLARIFY, "Pardon?"),
        reply(ReplyKind.MENU, "choose", options=("Refunds", "Cards")),
        reply(ReplyKind.ANSWER, "The phone line is open."),
    ):
        for seed in range(50):
            rng, memory, text, turns = random.Random(seed), Memory(PATIENT.patience), "", 0
            while text is not None:
                memory, text = react(PATIENT, NEEDS["refund"], memory, answer, rng)
                turns += 1
                assert turns < 40
            assert memory.ending is not None


def mean_rating(memory: Memory, name: str = "refund", found_out: bool = False) -> float:
    return sum(rating(PATIENT, NEEDS[name], memory, found_out, random.Random(i)) for i in range(300)) / 300


def test_ratings_follow_from_outcome_effort_and_waiting() -> None:
    helped = Memory(3.0, turns=1, waited=1.0, ending=Ending.HELPED)
    assert mean_rating(helped) > 4.3
    assert mean_rating(replace(helped, turns=4)) < mean_rating(helped) - 0.2
    assert mean_rating(replace(helped, misses=2)) < mean_rating(helped) - 0.4
    assert mean_rating(replace(helped, waited=15.0)) < mean_rating(helped) - 0.5
    assert mean_rating(replace(helped, ending=Ending.GAVE_UP)) < 2.2
    misled = replace(helped, ending=Ending.MISLED)
    assert mean_rating(misled, found_out=True) < mean_rating(misled) - 1.5


def test_a_person_is_welcome_most_to_who_needs_one() -> None:
    reached = Memory(3.0, turns=1, waited=1.0, ending=Ending.PERSON)
    assert mean_rating(reached, "fraud") > mean_rating(reached, "refund") + 0.3


def test_ratings_stay_between_one_and_five() -> None:
    for bias in (-5.0, 5.0):
        customer = replace(PATIENT, bias=bias)
        memory = Memory(1.0, turns=3, ending=Ending.HELPED)
        values = {rating(customer, NEEDS["refund"], memory, False, random.Random(i)) for i in range(100)}
        assert values <= {1, 2, 3, 4, 5}


def test_who_comes_back_has_less_patience() -> None:
    first, _ = open_conversation(PATIENT, NEEDS["refund"], False, random.Random(1))
    again, _ = open_conversation(PATIENT, NEEDS["refund"], True, random.Random(1))
    assert again.patience < first.patience


def test_customers_differ() -> None:
    drawn = [draw_customer(f"u{i}", 0.1, random.Random(i)) for i in range(500)]
    assert {customer.segment for customer in drawn} == {"new", "established"}
    assert {customer.channel for customer in drawn} == {"app", "web"}
    assert len({customer.region for customer in drawn}) == 4
    assert 20 < sum(customer.employee for customer in drawn) < 85
    assert all(0 <= customer.trust <= 1 and 0 <= customer.sloppiness <= 1 for customer in drawn)


def test_escalation_by_rule_and_by_wish_are_both_a_person() -> None:
    by_wish = reply(ReplyKind.HANDOVER, "ok", escalation_reason=EscalationReason.AGENT_REQUEST)
    assert judge(NEEDS["wants_person"], by_wish) is Outcome.PERSON
