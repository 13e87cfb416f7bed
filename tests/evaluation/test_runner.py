"""The simulated customer of a row, and what an outcome says: with a scripted assistant, against a real bank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from controlplane.assistant.model import ConversationState, EscalationReason, Message, Reply, ReplyKind, SafetyRoute
from controlplane.evaluation.cases import Case, Goal, case_of
from controlplane.evaluation.judges import is_toxic
from controlplane.evaluation.runner import FreshBank, Judges, Outcome, outcome_of, run_cases, says

EMPTY = Reply(
    interaction_id="",
    kind=ReplyKind.ANSWER,
    text="",
    intent_pred="fees",
    intent_conf=0.8,
    safety_route=None,
    escalated=False,
    escalation_reason=None,
    workflow=None,
    workflow_status=None,
    sources=(),
    options=(),
    model="m",
    tokens_in=1,
    tokens_cached=0,
    tokens_out=1,
    cost_usd=0.5,
    error_type=None,
    timed_out=False,
    latency_ms=10.0,
    grounded=None,
    steps=(),
    model_calls=(),
    dependency_calls=(),
    workflow_runs=(),
)


@dataclass
class Scripted:
    """Says what it is told to, in order; the last line again when it has run out. May act on the bank."""

    lines: list[Reply]
    act: Callable[[Message, int], None] = lambda _message, _turn: None
    heard: list[Message] = field(default_factory=list)

    def respond(self, state: ConversationState, message: Message) -> tuple[ConversationState, Reply]:
        self.heard.append(message)
        turn = state.turns
        self.act(message, turn)
        return replace(state, turns=turn + 1), self.lines[min(turn, len(self.lines) - 1)]


def one(case: Case, subject: Scripted, bank: FreshBank | None = None, judges: Judges | None = None) -> Outcome:
    (found,) = run_cases([case], subject, bank or FreshBank(), judges or Judges(), 7)
    return found


def test_a_right_answer() -> None:
    subject = Scripted([replace(EMPTY, text="It costs £4 a month.")])
    found = one(
        case_of({"text": "price?", "expected_intent": "fees", "facts": ["£4", ["a month", "monthly"]]}), subject
    )
    assert (found.intent_correct, found.confidence, found.resolved, found.cost) == (True, 0.8, True, 0.5)
    assert (found.misrouted, found.over_routed, found.rejected, found.hallucinated, found.toxic) == (None,) * 5
    assert found.wrong == ()
    assert outcome_of(found.row()) == found


@pytest.mark.parametrize(
    ("text", "fact", "holds"),
    [
        ("It is £45.", "£4", False),
        ("It is £4.50.", "£4", False),
        ("It is £4, always", "£4", True),
        ("Under CARDS and   Block", "cards and block", True),
        ("1,500 pounds", "1", False),
        ("a 19.9 % rate", "19.9 %", True),
    ],
)
def test_a_fact_stands_as_a_whole(text: str, fact: str, holds: bool) -> None:
    assert says(text, fact) is holds


def test_the_customer_confirms_what_was_wanted_and_the_bank_is_looked_at() -> None:
    bank = FreshBank()

    def act(message: Message, turn: int) -> None:
        if message.text == "yes please":
            bank.block_card(message.user_id, "k1")

    lines = [replace(EMPTY, kind=ReplyKind.CONFIRM, text="Shall I?"), replace(EMPTY, kind=ReplyKind.DONE, text="Done.")]
    case = case_of({"text": "block it", "goal": {"operations": [["block_card", None]]}})
    subject = Scripted(lines, act)
    assert one(case, subject, bank).resolved is True
    assert [message.text for message in subject.heard] == ["block it", "yes please"]
    assert one(case, subject, bank).resolved is True, "each row has a bank of its own"
    assert one(case, Scripted(lines), bank).resolved is False, "saying so is not doing so"
    wanted_more = replace(case, goal=Goal((("block_card", None), ("order_card", None))))
    assert one(wanted_more, subject, bank).resolved is False
    nothing = replace(case, goal=Goal())
    refused = Scripted(lines, act)
    assert one(nothing, refused, bank).resolved is True
    assert refused.heard[-1].text == "no"


def test_an_address_and_a_detail_are_compared() -> None:
    bank = FreshBank()
    case = case_of(
        {
            "turns": ["move me", "1 New Road, York"],
            "goal": {"operations": [["set_address", "1 New Road, York"]], "address": "1 New Road, York"},
        }
    )

    def act(message: Message, turn: int) -> None:
        if turn == 1:
            bank.set_address(message.user_id, message.text, "k")

    lines = [replace(EMPTY, kind=ReplyKind.CLARIFY), replace(EMPTY, kind=ReplyKind.DONE)]
    assert one(case, Scripted(lines, act), bank).resolved is True
    assert (
        one(replace(case, goal=replace(case.goal, address="2 Old Road")), Scripted(lines, act), bank).resolved is False
    )
    other = replace(case, goal=Goal((("set_address", "elsewhere"),)))
    assert one(other, Scripted(lines, act), bank).resolved is False


def test_a_failed_turn_is_said_again_twice_at_most() -> None:
    error = replace(EMPTY, kind=ReplyKind.ERROR, error_type="service_error", intent_pred=None, intent_conf=None)
    case = case_of({"text": "hello", "expected_intent": "fees"})
    patient = Scripted([error, error, EMPTY])
    found = one(case, patient)
    assert (len(patient.heard), found.errors, found.intent_correct) == (3, 2, True)
    assert [message.turn for message in patient.heard] == [1, 2, 3]
    hopeless = Scripted([error])
    found = one(case, hopeless)
    assert (len(hopeless.heard), found.intent_correct) == (3, False)


def test_routing_is_judged_by_the_first_real_reply() -> None:
    person = replace(
        EMPTY,
        kind=ReplyKind.HANDOVER,
        escalated=True,
        safety_route=SafetyRoute.FRAUD,
        escalation_reason=EscalationReason.MANDATORY_CATEGORY,
    )
    must, free = case_of({"text": "x", "mandatory_route": "fraud"}), case_of({"text": "x", "mandatory_route": "none"})
    assert one(must, Scripted([person])).misrouted is False
    assert one(must, Scripted([EMPTY])).misrouted is True
    assert one(free, Scripted([person])).over_routed is True
    gave_up = replace(person, safety_route=None, escalation_reason=EscalationReason.LOW_CONFIDENCE)
    assert one(free, Scripted([gave_up])).over_routed is False, "giving up is no mandatory route"


def test_out_of_scope_must_not_be_answered() -> None:
    case = case_of({"text": "pancakes?", "out_of_scope": True})
    assert one(case, Scripted([EMPTY])).rejected is False
    assert one(case, Scripted([replace(EMPTY, kind=ReplyKind.DECLINE)])).rejected is True


def test_one_unsupported_answer_makes_the_conversation_one() -> None:
    case = case_of({"turns": ["a", "b"]})
    verdicts = iter([False, True])
    found = one(case, Scripted([EMPTY]), judges=Judges(lambda _m, _r: next(verdicts)))
    assert found.hallucinated is True
    assert one(case, Scripted([EMPTY]), judges=Judges(lambda _m, _r: None)).hallucinated is None
    toxic = one(case, Scripted([replace(EMPTY, text="bad")]), judges=Judges(toxic=lambda text: text == "bad"))
    assert toxic.toxic is True
    assert not is_toxic("Your card is blocked.")


def test_a_wrong_answer_from_the_cache_is_the_caches() -> None:
    case = case_of({"text": "x", "facts": ["£4"]})
    assert one(case, Scripted([replace(EMPTY, cached=True, text="£5")])).cache_wrong is True
    assert one(case, Scripted([replace(EMPTY, cached=True, text="£4")])).cache_wrong is False
    assert one(case, Scripted([replace(EMPTY, text="£5")])).cache_wrong is None


def test_the_same_seed_meets_the_same_fate_whatever_else_is_in_the_set() -> None:
    cases = [case_of({"text": f"q{i}"}) for i in range(3)]
    whole, alone = Scripted([EMPTY]), Scripted([EMPTY])
    list(run_cases(cases, whole, FreshBank(), Judges(), 7))
    list(run_cases(cases[2:], alone, FreshBank(), Judges(), 7))
    assert whole.heard[2].interaction_id == alone.heard[0].interaction_id
    other = Scripted([EMPTY])
    list(run_cases(cases[2:], other, FreshBank(), Judges(), 8))
    assert other.heard[0].interaction_id != alone.heard[0].interaction_id


def test_what_is_kept_is_masked_and_an_endless_conversation_ends() -> None:
    subject = Scripted([replace(EMPTY, kind=ReplyKind.CONFIRM, text="mail me at jo@example.org")])
    found = one(case_of({"text": "x", "goal": {"operations": [["block_card", None]]}}), subject)
    assert len(subject.heard) == 8
    assert "jo@example.org" not in found.said[0]
