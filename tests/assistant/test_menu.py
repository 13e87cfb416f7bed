"""The menu: decent for those who choose numbers or use its words, worse for those who write freely."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controlplane.assistant import Menu, ReplyKind, ServiceModel, ServiceProfile, SqliteBank, build_menu
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.model import (
    ConversationState,
    EscalationReason,
    Message,
    SafetyRoute,
    WorkflowStatus,
)
from tests.assistant.conftest import MakeAssistant
from tests.assistant.talk import converse, helped


def number(options: tuple[str, ...], words: str) -> str:
    return str(next(i for i, option in enumerate(options, 1) if words in option))


def test_every_page_is_reached_by_numbers(menu: Menu) -> None:
    for page in load_knowledge().passages:
        main = converse(menu, "hello")[0]
        topic = number(main.options, page.topic)
        listed = converse(menu, "hello", topic)[1]
        shown = converse(menu, "hello", topic, number(listed.options, page.title))[2]
        if page.workflow:
            assert shown.workflow == page.workflow
        else:
            assert shown.text == page.body
            assert shown.sources == (page.id,)


def test_a_clear_keyword_opens_its_page(menu: Menu) -> None:
    reply = converse(menu, "overdraft interest?")[0]
    assert reply.kind is ReplyKind.ANSWER
    assert "19.9 %" in reply.text
    assert (reply.model, reply.tokens_in, reply.cost_usd, reply.intent_conf) == ("menu-1", 0, 0, None)


def test_several_pages_are_listed(menu: Menu) -> None:
    reply = converse(menu, "pin")[0]
    assert reply.kind is ReplyKind.MENU
    assert 2 <= len(reply.options) <= 5
    assert reply.options[-1] == "Talk to an agent"


def test_the_last_choice_is_a_person(menu: Menu) -> None:
    options = converse(menu, "hello")[0].options
    assert converse(menu, "hello", str(len(options)))[1].escalation_reason is EscalationReason.AGENT_REQUEST


def test_two_misses_in_a_row_end_with_a_person(menu: Menu) -> None:
    replies = converse(menu, "hello", "blah", "blub", "anything")
    assert [reply.kind for reply in replies[:2]] == [ReplyKind.MENU, ReplyKind.MENU]
    assert "did not understand" in replies[1].text
    assert replies[2].escalation_reason is EscalationReason.LOW_CONFIDENCE
    assert replies[3].escalation_reason is EscalationReason.WITH_PERSON


@pytest.mark.parametrize("answer", ["99", "0", "1.5"])
def test_a_number_that_is_no_choice_chooses_nothing(menu: Menu, answer: str) -> None:
    assert converse(menu, "hello", answer)[1].kind is ReplyKind.MENU


def test_workflows_run_from_the_menu_too(menu: Menu, bank: SqliteBank) -> None:
    topic = number(converse(menu, "hello")[0].options, "Cards")
    page = number(converse(menu, "hello", topic)[1].options, "Lost or stolen card")
    done = converse(menu, "hello", topic, page, "yes")[3]
    assert done.workflow_status is WorkflowStatus.COMPLETED
    assert bank.operations("u1")[0][0] == "block_card"


def test_execution_can_be_switched_off_for_the_menu(bank: SqliteBank) -> None:
    menu = build_menu(bank, execution_enabled=lambda: False)
    reply = converse(menu, "lost card stolen block")[0]
    assert reply.escalation_reason is EscalationReason.EXECUTION_DISABLED


def test_the_service_of_the_menu_can_fail() -> None:
    menu = build_menu(service=ServiceProfile(request=ServiceModel("menu", 50.0, error_rate=1.0)))
    assert converse(menu, "hello")[0].error_type == "request_service_error"


def test_the_same_messages_get_equal_replies(menu: Menu) -> None:
    texts = ("hello", "2", "1", "refund")
    assert converse(menu, *texts) == converse(menu, *texts)


def test_free_text_is_answered_at_once_more_often_by_the_assistant(
    menu: Menu, make_assistant: MakeAssistant, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = helped(make_assistant()), helped(menu)
    with capsys.disabled():
        print(f"\nheld-out questions met by the first reply: assistant {ours:.3f}, menu {theirs:.3f}")
    assert ours > theirs + 0.1


def test_what_screening_sent_to_a_person_reaches_one_from_the_menu(menu: Menu) -> None:
    text = "what is the weather like"
    told = Message("c", 1, "u", text, datetime(2026, 1, 5, tzinfo=UTC))
    _, unscreened = menu.respond(ConversationState(), told)
    _, screened = menu.respond(ConversationState(mandatory=SafetyRoute.FRAUD), told)
    assert not unscreened.escalated
    assert (screened.escalated, screened.safety_route) == (True, SafetyRoute.FRAUD)
