"""The red list: whoever must get a person gets one, and whoever need not is mostly left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant import Assistant, Menu, SafetyRoute, safety
from controlplane.assistant.intent import IntentModel
from controlplane.assistant.model import EscalationReason, IntentPrediction
from controlplane.assistant.safety import rule_routes, screen
from controlplane.assistant.training_data import load_heldout
from tests.assistant.talk import converse

AGENT = (
    "agent",
    "AGENT!!!",
    "Agent please",
    "I want a human",
    "representative",
    "could I speak to a representative",
    "speak to someone",
    "let me talk to a real person",
    "Talk to a human being now",
    "connect me with one of your colleagues",
    "I'd rather chat with a person than with a bot",
    "put me through to your customer service",
    "operator",
    "can somebody please call me",
    "No bots please",
    "What is my balance? Actually, just give me an agent",
    "My travel agent booked it, but now I need a human",
    "get me your supervisor",
    "I need somebody to help me",
    "are there any humans",
)
NOT_AGENT = (
    "my travel agent charged my card, when does the refund show",
    "the estate agent needs my bank statement",
    "my letting agent wants the rent today, how long does a transfer take",
    "is human error a reason for a refund",
    "my mobile operator refunded me, where is the money",
    "I don't want an agent, just tell me the fees",
    "I want to send money to another person",
    "what is the limit for paying a new person",
)
FRAUD = (
    "There are payments on my account that I did not make",
    "someone used my card in a shop in Lyon",
    "I think I was scammed by a fake landlord",
    "hackers got into my account",
    "I gave my PIN to a man on the phone who said he was from the bank",
    "an unauthorised withdrawal of 300 pounds",
    "that transaction wasn't me",
    "my card was cloned",
    "they made me move my savings to a safe account",
    "I clicked a phishing link and entered my password",
    "a loan was opened in my name",
    "money has been taken from my account without my knowledge",
    "Is this text from you a scam?",
    "I don't recognise this payment",
    "my identity has been stolen",
)
LEGAL = (
    "I will sue you",
    "my lawyer will be in touch",
    "this goes to the ombudsman",
    "I want to make a formal complaint",
    "See you in court",
    "this is illegal",
    "I demand my data under GDPR",
    "I am the executor of my late mother's estate",
    "you are in breach of contract",
    "I am reporting you to the regulator",
    "I claim damages for your mistake",
    "My solicitor asked me to write to you",
)
HARASSMENT = (
    "your employee threatened me",
    "a debt collector keeps calling me at night and screams at me",
    "I am being blackmailed with pictures",
    "the man on the phone made racist remarks",
    "my ex writes insults in payment references",
    "you are complete idiots",
    "fuck you",
    "I will burn down your office",
    "my husband beats me and takes my card",
    "I want to kill myself",
    "I feel harassed by your staff",
    "I am afraid of my partner who controls the account",
)
DISPUTE = (
    "I was charged twice for the same dinner",
    "I want to dispute a payment",
    "start a chargeback please",
    "the shop overcharged me",
    "the cash machine gave me the wrong amount",
    "my gym keeps charging me after I cancelled",
    "I can't pay back my loan any more",
    "I am in financial difficulty",
    "a double charge on my card",
    "I have fallen behind with my repayments",
)
RED_LIST = [
    *((text, SafetyRoute.FRAUD) for text in FRAUD),
    *((text, SafetyRoute.LEGAL) for text in LEGAL),
    *((text, SafetyRoute.HARASSMENT) for text in HARASSMENT),
    *((text, SafetyRoute.FINANCIAL_DISPUTE) for text in DISPUTE),
]
EVERYDAY = (
    "what is my balance",
    "where is my new card",
    "I forgot my PIN",
    "I entered the wrong pin three times",
    "how long does a transfer take",
    "I need my statement for March",
    "I live at 3 Court Street, please change my address",
    "when are you open",
    "what are the fees abroad",
    "my stolen card needs to be blocked",
)


@pytest.mark.parametrize("text", AGENT)
def test_who_asks_for_a_person_gets_one(assistant: Assistant, text: str) -> None:
    reply = converse(assistant, text)[0]
    assert reply.escalated
    assert reply.escalation_reason is EscalationReason.AGENT_REQUEST
    assert SafetyRoute.AGENT_REQUEST in rule_routes(text)


@pytest.mark.parametrize("text", NOT_AGENT)
def test_other_trades_and_humans_are_no_wish_for_a_person(text: str) -> None:
    assert SafetyRoute.AGENT_REQUEST not in rule_routes(text)


@pytest.mark.parametrize(("text", "route"), RED_LIST)
def test_mandatory_subjects_go_to_a_person_under_their_own_name(
    assistant: Assistant, text: str, route: SafetyRoute
) -> None:
    reply = converse(assistant, text)[0]
    assert reply.escalated
    assert reply.safety_route is route
    assert not reply.model_calls


def test_a_wish_for_a_person_wins_in_the_middle_of_a_workflow(assistant: Assistant) -> None:
    replies = converse(assistant, "I lost my card, block it", "no wait, agent please")
    assert replies[0].workflow == "card_block_and_replace"
    assert replies[1].escalation_reason is EscalationReason.AGENT_REQUEST
    assert replies[1].workflow_runs[0].error_type == "abandoned"


def test_fraud_is_noticed_in_the_middle_of_a_workflow(assistant: Assistant) -> None:
    replies = converse(assistant, "I lost my card, block it", "yes and someone used my card in a shop")
    assert replies[1].safety_route is SafetyRoute.FRAUD


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_questions_match_no_rule(text: str) -> None:
    assert rule_routes(text) == ()


def test_sensitive_probabilities_are_summed() -> None:
    quarters = {"fraud": 0.02, "legal_complaint": 0.013, "harassment": 0.013, "dispute_charge": 0.013, "fees": 0.941}
    assert screen("hm", IntentPrediction("fees", 0.941, quarters)).route is SafetyRoute.FRAUD
    fewer = {**quarters, "fraud": 0.005, "fees": 0.956}
    assert screen("hm", IntentPrediction("fees", 0.956, fewer)).route is None


@given(
    st.sampled_from([text for text, _ in RED_LIST] + list(AGENT)),
    st.fixed_dictionaries({name: st.floats(0, 1) for name in (*safety.SENSITIVE_INTENTS, "human_agent", "fees")}),
    st.booleans(),
)
def test_no_probability_takes_a_route_away(text: str, probabilities: dict[str, float], rules_only: bool) -> None:
    by_rule = rule_routes(text)
    verdict = screen(text, IntentPrediction("fees", 1.0, probabilities), rules_only=rules_only)
    assert set(by_rule) <= set(verdict.routes)
    assert not by_rule or verdict.route is not None


def test_a_long_story_is_read_to_its_end() -> None:
    assert rule_routes("I have been a customer for years. " * 200 + "I was scammed.") == (SafetyRoute.FRAUD,)


def test_held_out_mandatory_cases_and_over_routing(classifier: IntentModel, capsys: pytest.CaptureFixture[str]) -> None:
    mandatory, others = [], []
    for question in load_heldout():
        routed = bool(screen(question.text, classifier.predict(question.text)).routes)
        sensitive = question.intent in safety.SENSITIVE_INTENTS or question.intent == safety.AGENT_INTENT
        (mandatory if sensitive else others).append(routed)
    with capsys.disabled():
        print(f"\nheld-out mandatory routed {sum(mandatory)}/{len(mandatory)}, over-routed {sum(others)}/{len(others)}")
    assert sum(mandatory) == len(mandatory)
    assert sum(others) / len(others) <= 0.2


def test_the_menu_uses_the_same_rules(menu: Menu) -> None:
    assert converse(menu, "someone used my card in a shop in Lyon")[0].safety_route is SafetyRoute.FRAUD
    assert converse(menu, "agent")[0].escalation_reason is EscalationReason.AGENT_REQUEST
