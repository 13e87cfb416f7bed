"""The workflows one by one: refunds are read, disputes reach a person first, a restart between two steps loses and repeats nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.assistant import Assistant, ConversationState, Menu, SqliteBank
from controlplane.assistant.model import (
    EscalationReason,
    Message,
    PendingWorkflow,
    ReplyKind,
    SafetyRoute,
    WorkflowStatus,
)
from controlplane.assistant.protocols import BankError, Receipt
from controlplane.assistant.record import RecordContext, landing_records, without
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.workflow import DISABLED, WorkflowEngine
from tests.assistant.conftest import MakeAssistant
from tests.assistant.talk import converse, message

OK = ServiceDraw(100.0)
NEW_ADDRESS = "change my address to 12 Elm Road, Leeds LS1 4AB"
DISPUTE = "I want to dispute a charge, the shop took £45.50 twice"
REFUND: dict[str, Any] = {
    "user_id": "u1",
    "merchant": "Amazon",
    "amount": "£45.50",
    "sent_on": "2026-02-27",
    "status": "pending",
}


class Killed(BaseException):
    """The process dies."""


class Bank(SqliteBank):
    """A bank with something before or after each posting of letters."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[BaseException | None] = []
        self.on_address = lambda: None

    def set_address(self, user_id: str, address: str, key: str) -> Receipt:
        receipt = super().set_address(user_id, address, key)
        self.on_address()
        return receipt

    def send_address_letters(self, user_id: str, key: str) -> Receipt:
        fault = self.letters.pop(0) if self.letters else None
        if fault is not None:
            raise fault
        return super().send_address_letters(user_id, key)


def waiting(machine: WorkflowEngine, name: str, text: str) -> PendingWorkflow:
    pending = machine.start(name, message(text)).pending
    assert pending is not None
    assert pending.awaiting is None
    return pending


def yes(turn: int = 2) -> Message:
    return message("yes", turn)


def test_a_restart_between_two_steps_still_knows_the_old_address() -> None:
    bank = Bank()
    before = bank.address_of("u1")
    machine = WorkflowEngine(bank, lambda: True, 0.6)
    pending = waiting(machine, "address_change", NEW_ADDRESS)
    bank.letters = [Killed(), BankError("post_room_closed", "no letters")]
    with pytest.raises(Killed):
        machine.execute(pending, yes(), OK)
    assert bank.address_of("u1") != before, "the first step was done"
    again = WorkflowEngine(bank, lambda: True, 0.6).execute(pending, yes(), OK)
    assert again.status is WorkflowStatus.COMPENSATED
    assert bank.address_of("u1") == before


def test_a_restart_after_the_last_step_reports_it_done_once() -> None:
    bank = Bank()
    machine = WorkflowEngine(bank, lambda: True, 0.6)
    pending = waiting(machine, "address_change", NEW_ADDRESS)
    first, second = (machine.execute(pending, yes(), OK) for _ in range(2))
    assert first == second
    assert len(bank.snapshot()["letters"]) == 1


def test_what_was_taken_back_is_not_reported_as_done_by_a_replay() -> None:
    bank = Bank()
    before = bank.address_of("u1")
    machine = WorkflowEngine(bank, lambda: True, 0.6)
    pending = waiting(machine, "address_change", NEW_ADDRESS)
    bank.letters = [BankError("post_room_closed", "no letters")]
    assert machine.execute(pending, yes(), OK).status is WorkflowStatus.COMPENSATED
    replayed = machine.execute(pending, yes(), OK)
    assert (replayed.status, replayed.handover) == (WorkflowStatus.FAILED, True)
    assert replayed.run is not None
    assert replayed.run.error_type == "undone"
    assert bank.address_of("u1") == before


def test_nobody_elses_change_is_undone() -> None:
    bank = Bank()
    machine = WorkflowEngine(bank, lambda: True, 0.6)
    pending = waiting(machine, "address_change", NEW_ADDRESS)
    bank.letters = [BankError("post_room_closed", "no letters")]
    bank.on_address = lambda: SqliteBank.set_address(bank, "u1", "1 Other Road, York", "branch") and None
    outcome = machine.execute(pending, yes(), OK)
    assert outcome.status is WorkflowStatus.FAILED
    assert "only a part of it is done (set)" in outcome.text
    assert bank.address_of("u1") == "1 Other Road, York"


def test_execution_disabled_between_two_steps_stops_there_and_tells_a_person() -> None:
    bank = Bank()
    enabled = [True]
    machine = WorkflowEngine(bank, lambda: enabled[0], 0.6)
    pending = waiting(machine, "address_change", NEW_ADDRESS)
    bank.on_address = lambda: enabled.__setitem__(0, False)
    outcome = machine.execute(pending, yes(), OK)
    assert (outcome.status, outcome.reason) == (WorkflowStatus.FAILED, EscalationReason.EXECUTION_DISABLED)
    assert "only a part of it is done (set)" in outcome.text
    assert outcome.run is not None
    assert outcome.run.error_type == DISABLED
    assert [kind for kind, _ in bank.operations("u1")] == ["set_address"]


def test_a_bank_that_stays_silent_in_a_step_is_asked_again_with_the_same_key() -> None:
    bank = Bank()
    machine = WorkflowEngine(bank, lambda: True, 0.6)
    bank.letters = [BankError("timeout", "no answer")]
    unsure = machine.execute(waiting(machine, "address_change", NEW_ADDRESS), yes(), OK)
    assert (unsure.status, unsure.kind, unsure.handover) == (WorkflowStatus.FAILED, ReplyKind.CONFIRM, False)
    assert unsure.pending is not None
    assert machine.execute(unsure.pending, yes(3), OK).status is WorkflowStatus.COMPLETED
    assert len(bank.snapshot()["letters"]) == 1


def test_another_card_is_never_blocked(assistant: Assistant, bank: SqliteBank) -> None:
    refused = converse(assistant, "I lost my card ending 0000, please block it", "yes")[1]
    assert refused.workflow_runs[0].error_type == "unknown_card"
    assert refused.workflow_runs[0].slots == {"last_four": "(given)"}
    assert "nothing was changed" in refused.text
    assert bank.operations("u1") == []


def test_a_refund_is_read_and_nothing_is_changed(assistant: Assistant, bank: SqliteBank) -> None:
    bank.seed({"refunds": [REFUND]})
    before = bank.snapshot()
    told = converse(assistant, "where is my refund")[0]
    assert (told.kind, told.workflow, told.workflow_status) == (
        ReplyKind.DONE,
        "refund_status",
        WorkflowStatus.COMPLETED,
    )
    assert "£45.50 from Amazon, sent on 27 February 2026, is pending" in told.text
    assert "3 to 7 working days" in told.text
    assert [call.dependency for call in told.dependency_calls] == ["bank"]
    assert bank.snapshot() == before


def test_a_customer_without_a_refund_hears_what_to_do(bank: SqliteBank, assistant: Assistant) -> None:
    bank.seed({"accounts": [{"user_id": "u1", "address": "1 New Road, Leeds"}]})
    assert "no refund on your account" in converse(assistant, "where is my refund")[0].text


def test_a_question_about_refunds_is_answered_from_the_pages(assistant: Assistant) -> None:
    reply = converse(assistant, "how long does a refund take")[0]
    assert (reply.workflow, reply.kind) == (None, ReplyKind.ANSWER)


def test_while_execution_is_disabled_refunds_are_answered_from_the_pages(make_assistant: MakeAssistant) -> None:
    reply = converse(make_assistant(execution_enabled=lambda: False), "where is my refund")[0]
    assert (reply.workflow, reply.kind) == (None, ReplyKind.ANSWER)


def test_a_pin_reminder_needs_its_words(assistant: Assistant, bank: SqliteBank) -> None:
    machine = WorkflowEngine(bank, lambda: True, 0.6)
    assert machine.for_message("pin_reset", 0.9, "please send me a PIN reminder by post") == "pin_reminder"
    assert machine.for_message("pin_reset", 0.9, "I forgot my pin") is None
    pending = waiting(machine, "pin_reminder", "PIN reminder please")
    assert machine.execute(pending, yes(), OK).status is WorkflowStatus.COMPLETED
    assert len(bank.snapshot()["pin_reminders"]) == 1


def dispute(bot: Assistant | Menu, *texts: str) -> list[Any]:
    return converse(bot, DISPUTE, *texts)


def test_a_dispute_reaches_a_person_at_once_and_the_details_follow(assistant: Assistant, bank: SqliteBank) -> None:
    called, shop, day, noted = dispute(assistant, "it was at Ryanair", "yesterday", "yes")
    assert called.escalated
    assert (called.safety_route, called.escalation_reason) == (
        SafetyRoute.FINANCIAL_DISPUTE,
        EscalationReason.MANDATORY_CATEGORY,
    )
    assert (called.workflow, called.workflow_status) == ("dispute_intake", WorkflowStatus.STARTED)
    assert "which shop" in called.text
    assert "which day" in shop.text
    assert "GBP 45.50 to Ryanair on 2026-03-01" in day.text
    assert noted.workflow_status is WorkflowStatus.COMPLETED
    assert set(noted.workflow_runs[0].slots.values()) == {"(given)"}
    assert bank.snapshot()["cases"] == [
        {"user_id": "u1", "kind": "dispute", "detail": "GBP 45.50 to Ryanair on 2026-03-01", "status": "open"}
    ]


def test_a_customer_who_cannot_say_skips(assistant: Assistant, bank: SqliteBank) -> None:
    dispute(assistant, "skip", "I don't know", "yes")
    assert bank.snapshot()["cases"][0]["detail"] == "GBP 45.50 to an unknown shop on an unknown day"


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("my account was hacked, this is fraud", SafetyRoute.FRAUD),
        ("let me talk to a human", SafetyRoute.AGENT_REQUEST),
    ],
)
def test_what_is_more_urgent_ends_the_questions(
    assistant: Assistant, bank: SqliteBank, text: str, route: SafetyRoute
) -> None:
    reply = dispute(assistant, text)[1]
    assert (reply.escalated, reply.safety_route) == (True, route)
    assert reply.workflow_runs[0].error_type == "abandoned"
    assert bank.snapshot()["cases"] == []


def test_the_questions_are_asked_once_and_then_the_person_has_the_conversation(assistant: Assistant) -> None:
    left = dispute(assistant, "no", "and when will somebody answer?")
    assert left[1].workflow_status is WorkflowStatus.REFUSED
    assert left[2].escalation_reason is EscalationReason.WITH_PERSON
    impatient = dispute(assistant, "when will somebody answer?")[1]
    assert impatient.escalation_reason is EscalationReason.WITH_PERSON
    assert impatient.workflow_runs[0].error_type == "abandoned"


def test_disabled_execution_takes_no_details_and_still_calls_the_person(make_assistant: MakeAssistant) -> None:
    reply = dispute(make_assistant(execution_enabled=lambda: False))[0]
    assert (reply.escalated, reply.workflow) == (True, None)
    assert reply.safety_route is SafetyRoute.FINANCIAL_DISPUTE


def test_a_mere_suspicion_or_another_subject_takes_no_details(bank: SqliteBank) -> None:
    machine = WorkflowEngine(bank, lambda: True, 0.6)
    said = message(DISPUTE)
    assert machine.intake(SafetyRoute.FINANCIAL_DISPUTE, "dispute_charge", 0.59, said) is None
    assert machine.intake(SafetyRoute.FINANCIAL_DISPUTE, "fees", 0.9, said) is None
    assert machine.intake(SafetyRoute.FRAUD, "dispute_charge", 0.9, said) is None
    assert machine.for_intent("dispute_charge", 1.0) is None


@pytest.mark.parametrize("kind", ["assistant", "menu"])
def test_what_was_given_in_confidence_is_not_logged(kind: str, assistant: Assistant, menu: Menu) -> None:
    bot: Assistant | Menu = assistant if kind == "assistant" else menu
    state, logged, said = ConversationState(), "", ""
    words = (
        "I moved, new postal address please",
        "it is 12  Elm Road, Leeds LS1 4AB",
        "yes",
        "block my card ending 4711, I lost it",
    )
    for turn, text in enumerate(words, 1):
        heard = message(text, turn)
        state, reply = bot.respond(state, heard)
        records = landing_records(heard, reply, RecordContext("assistant", None, None, "1"))
        logged, said = logged + json.dumps(records), said + reply.text
    assert "12 Elm Road, Leeds LS1 4AB" in said, "the customer confirms what will really be done"
    assert "Elm" not in logged
    assert "4711" not in logged
    assert "(private)" in logged


def test_only_whole_values_are_hidden() -> None:
    assert (
        without("The 20 of 2026 at Bath, bath  Road", ("20", "Bath Road")) == "The (private) of 2026 at Bath, (private)"
    )
    assert without("unchanged", ("", " ")) == "unchanged"


def test_every_workflow_is_reached_from_the_menu(menu: Menu, bank: SqliteBank) -> None:
    def choose(*titles: str) -> tuple[Any, ConversationState]:
        state, reply = menu.respond(ConversationState(), message("hello"))
        for turn, title in enumerate(titles, 2):
            number = next(i for i, option in enumerate(reply.options, 1) if title in option)
            state, reply = menu.respond(state, message(str(number), turn))
        return reply, state

    for topic, page, workflow in (
        ("Cards", "Lost or stolen card", "card_block_and_replace"),
        ("Refunds", "Check the status", "refund_status"),
        ("Security", "Disputed payments", "dispute_intake"),
        ("Your details", "address", "address_change"),
        ("Statements", "Account statements", "statement_copy"),
        ("PIN", "PIN reminder", "pin_reminder"),
    ):
        reply, state = choose(topic, page)
        assert reply.workflow == workflow
        assert state.handed_over == (workflow == "dispute_intake")
    reply, state = choose("Security", "Disputed payments")
    assert reply.escalated
    for turn, text in enumerate(("Ryanair", "£20", "yesterday", "yes"), 4):
        state, reply = menu.respond(state, message(text, turn))
    assert reply.workflow_status is WorkflowStatus.COMPLETED
    assert bank.snapshot()["cases"][0]["detail"] == "GBP 20.00 to Ryanair on 2026-03-01"
    state, reply = menu.respond(state, message("and now?", 8))
    assert reply.escalation_reason is EscalationReason.WITH_PERSON
